use super::*;
use crate::http::KeptTokens;
use crate::plan::model::{JsonTemplate, Place, Text};
use crate::plan::template::{Scope, Template};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair, UnparsedPublicKey};

/// Made for these tests; it opens nothing.
const RSA_KEY: &str = include_str!("test_rsa_key.pem");

const NOW: Duration = Duration::from_secs(1_772_366_400);

fn text(source: &str) -> Text {
    Text { template: Template::literal(source), secret: true }
}

fn jwt(algorithm: JwtAlgorithm, key: &str) -> Jwt {
    Jwt {
        algorithm,
        key: JwtKey::Inline(text(key)),
        key_base64: false,
        claims: vec![("iss".to_owned(), JsonTemplate::Literal("me".into()))],
        headers: Vec::new(),
        expires_in: Duration::from_secs(600),
        exchange: None,
        place: Place::Header { name: "Authorization".to_owned(), prefix: "Bearer ".to_owned() },
    }
}

fn signer(jwt: &Jwt) -> Result<Signer> {
    let kept = Arc::new(KeptTokens::none());
    let setting = Setting { scope: &Scope::default(), base_url: None, login: None, kept, is_replay: false };
    Signer::new(jwt, &setting).map(|(signer, _)| signer)
}

/// Header, claims, what is signed, and the signature of a JWT of [`NOW`].
fn parts(jwt: &Jwt) -> (Value, Value, String, Vec<u8>) {
    let token = signer(jwt).unwrap().sign(SystemTime::UNIX_EPOCH + NOW).unwrap();
    let (signed, signature) = token.expose().rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let read = |part: &str| serde_json::from_slice(&decode(part)).unwrap();
    (read(header), read(claims), signed.to_owned(), decode(signature))
}

#[test]
fn claims_about_time_are_added_unless_the_file_has_them() {
    let mut jwt = jwt(JwtAlgorithm::Hs256, "a shared secret");
    jwt.headers = vec![("kid".to_owned(), JsonTemplate::Literal("7".into()))];
    let (header, claims, _, _) = parts(&jwt);
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT", "kid": "7" }));
    let issued = NOW.as_secs() - 10;
    assert_eq!(claims, json!({ "iss": "me", "iat": issued, "nbf": issued, "exp": issued + 600 }));

    jwt.claims.push(("nbf".to_owned(), JsonTemplate::Literal(json!(false))));
    jwt.claims.push(("exp".to_owned(), JsonTemplate::Literal(json!(99))));
    assert_eq!(parts(&jwt).1, json!({ "iss": "me", "iat": issued, "exp": 99 }));
}

#[test]
fn shared_secrets_sign_as_others_verify() {
    let secret = b"a shared secret of some length";
    let encoded = BASE64_STANDARD.encode(secret);
    let algorithms = [
        (JwtAlgorithm::Hs256, hmac::HMAC_SHA256),
        (JwtAlgorithm::Hs384, hmac::HMAC_SHA384),
        (JwtAlgorithm::Hs512, hmac::HMAC_SHA512),
    ];
    for (algorithm, kind) in algorithms {
        let as_text = jwt(algorithm, std::str::from_utf8(secret).unwrap());
        let as_base64 = Jwt { key_base64: true, ..jwt(algorithm, &encoded) };
        for jwt in [as_text, as_base64] {
            let (_, _, signed, signature) = parts(&jwt);
            hmac::verify(&hmac::Key::new(kind, secret), signed.as_bytes(), &signature).unwrap();
        }
    }
}

#[test]
fn rsa_keys_sign_as_others_verify() {
    let der = PrivateKeyDer::from_pem_slice(RSA_KEY.as_bytes()).unwrap();
    let pair = ring::rsa::KeyPair::from_pkcs8(der.secret_der()).unwrap();
    let cases: [(JwtAlgorithm, &dyn signature::VerificationAlgorithm); 6] = [
        (JwtAlgorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
        (JwtAlgorithm::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
        (JwtAlgorithm::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
        (JwtAlgorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
        (JwtAlgorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
        (JwtAlgorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    for (algorithm, verification) in cases {
        // Also as an environment variable has it, on one line.
        for key in [RSA_KEY.to_owned(), RSA_KEY.trim().replace('\n', "\\n")] {
            let (_, _, signed, signature) = parts(&jwt(algorithm, &key));
            let public = UnparsedPublicKey::new(verification, pair.public().as_ref());
            public.verify(signed.as_bytes(), &signature).unwrap();
        }
    }
}

#[test]
fn keys_on_curves_sign_with_numbers_of_fixed_width() {
    let cases: [(JwtAlgorithm, _, &dyn signature::VerificationAlgorithm, usize); 2] = [
        (JwtAlgorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_FIXED, 64),
        (JwtAlgorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_FIXED, 96),
    ];
    let random = SystemRandom::new();
    for (algorithm, signing, verification, length) in cases {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8.as_ref(), &random).unwrap();
        let encoded = BASE64_STANDARD.encode(pkcs8.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");
        // Numbers of a shorter form come about once in 256 signatures.
        let signer = signer(&jwt(algorithm, &pem)).unwrap();
        for second in 0..600 {
            let token = signer.sign(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
            let (signed, signature) = token.expose().rsplit_once('.').unwrap();
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert_eq!(signature.len(), length);
            let public = UnparsedPublicKey::new(verification, pair.public_key().as_ref());
            public.verify(signed.as_bytes(), &signature).unwrap();
        }
    }
}

#[test]
fn der_that_is_no_signature_is_refused() {
    let good = [0x30, 6, 2, 1, 5, 2, 1, 7];
    assert_eq!(fixed_width(&good, 2), Some(vec![0, 5, 0, 7]));
    assert_eq!(fixed_width(&[0x30, 8, 2, 2, 0, 0x80, 2, 2, 0, 0x90], 1), Some(vec![0x80, 0x90]));
    let cases: [&[u8]; 6] = [
        &[],
        &good[..7],
        &[0x31, 6, 2, 1, 5, 2, 1, 7],
        &[0x30, 6, 2, 9, 5, 2, 1, 7],
        &[0x30, 9, 2, 1, 5, 2, 1, 7, 2, 1, 9],
        &[0x30, 9, 2, 3, 1, 2, 3, 2, 2, 1, 2],
    ];
    for der in cases {
        assert_eq!(fixed_width(der, 2), None, "{der:?}");
    }
}

#[test]
fn a_key_that_can_not_sign_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let with_file = |name: &str| Jwt { key: JwtKey::File(folder.path().join(name)), ..jwt(JwtAlgorithm::Rs256, "") };
    std::fs::write(folder.path().join("empty.pem"), "\n").unwrap();
    let half = format!("{}\n", &RSA_KEY[..200]);
    let cases = [
        (jwt(JwtAlgorithm::Rs256, "MIIEvsecret-material"), "not a private key in PEM form"),
        (jwt(JwtAlgorithm::Rs256, &half), "not a private key in PEM form"),
        (jwt(JwtAlgorithm::Es256, RSA_KEY), "not one that ES256 signs with"),
        (Jwt { key_base64: true, ..jwt(JwtAlgorithm::Hs256, "MIIEvsecret-material!!") }, "not base64"),
        (jwt(JwtAlgorithm::Hs256, " "), "`auth.key` is empty"),
        (with_file("missing.pem"), "missing.pem"),
        (with_file("empty.pem"), "`auth.key_file` is empty"),
    ];
    for (jwt, part) in cases {
        let error = signer(&jwt).err().unwrap();
        let report = error.report();
        assert_eq!(error.kind(), Kind::Config, "{report}");
        assert!(report.contains(part) && !report.contains("MIIEv"), "{part} is not in:\n{report}");
    }
}

/// The JSON of a service account.
fn account(members: Value) -> String {
    let mut account = json!({ "type": "service_account", "private_key": RSA_KEY });
    account.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    account.to_string()
}

#[test]
fn a_service_account_brings_its_key_and_says_who_it_is() {
    let whole = account(json!({ "private_key_id": "k7", "client_email": "me@project.iam.example" }));
    let mut own = jwt(JwtAlgorithm::Rs256, &whole);
    own.claims.clear();
    let (header, claims, signed, signature) = parts(&own);
    assert_eq!((&header["kid"], &claims["iss"]), (&json!("k7"), &json!("me@project.iam.example")));
    let of_pem = parts(&Jwt {
        headers: vec![("kid".to_owned(), JsonTemplate::Literal("k7".into()))],
        ..jwt(JwtAlgorithm::Rs256, RSA_KEY)
    });
    assert_eq!(header, of_pem.0);
    assert_eq!(signature.len(), of_pem.3.len());
    assert!(!signed.contains("private"));

    let mut named = jwt(JwtAlgorithm::Rs256, &whole);
    named.headers.push(("kid".to_owned(), JsonTemplate::Literal("mine".into())));
    let (header, claims, ..) = parts(&named);
    assert_eq!((&header["kid"], &claims["iss"]), (&json!("mine"), &json!("me")), "what the file says wins");
}

#[test]
fn a_service_account_speaks_for_itself_to_the_api() {
    let base = Url::parse("https://api.example.com:8443/v1/").unwrap();
    let account = ServiceAccount::read(account(json!({ "client_email": "me@x" })).as_bytes()).unwrap().unwrap();
    let claims_of = |claims: &[(&str, &str)]| {
        let mut jwt = jwt(JwtAlgorithm::Hs256, "secret");
        jwt.claims = claims.iter().map(|(n, v)| ((*n).to_owned(), JsonTemplate::Literal((*v).into()))).collect();
        signer(&jwt).unwrap().for_itself(&account, Some(&base)).claims
    };
    let claims = claims_of(&[]);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("me@x"), &json!("https://api.example.com:8443/")));
    assert_eq!(claims_of(&[("aud", "x"), ("sub", "you")])["aud"], json!("x"));
    assert!(claims_of(&[("scope", "read")]).get("aud").is_none());
}

#[test]
fn where_an_account_asks_for_tokens_is_a_url() {
    let read = |members| ServiceAccount::read(account(members).as_bytes()).unwrap().unwrap();
    assert_eq!(
        read(json!({ "token_uri": "https://t.example/token" })).token_url().unwrap().as_str(),
        "https://t.example/token"
    );
    for members in [json!({}), json!({ "token_uri": "ftp://x/" }), json!({ "token_uri": "https://a:b@x/" })] {
        assert!(read(members.clone()).token_url().is_err(), "{members}");
    }
    assert!(ServiceAccount::read(b"-----BEGIN").unwrap().is_none());
    let user = ServiceAccount::read(br#"{"type":"authorized_user","refresh_token":"hidden"}"#).err().unwrap();
    assert!(user.report().contains("authorized_user") && !user.report().contains("hidden"));
}
