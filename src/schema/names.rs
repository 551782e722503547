//! Identifiers of the warehouse: snake_case, compared without case, unique in their table.

use xxhash_rust::xxh3::xxh3_64;

/// Prefix of the columns and tables that are ours.
pub const OWN_PREFIX: &str = "_pintail_";

/// Separates the parts of a nested name: `object__field`, `table__list`.
pub const SEPARATOR: &str = "__";

/// What stands before a field of the data that begins like one of ours.
const DATA_PREFIX: &str = "data";

/// What DuckDB calls the place of a row: a column of that name would hide it, also from us.
const ROW_PLACE: &str = "rowid";

/// Bytes of a table's name. It is also the name of a folder, with a version behind it, and filesystems allow 255.
const TABLE_NAME_BYTES_MAX: usize = 200;

/// One name as an identifier: snake_case (`createdAt`, `HTTPServer`, `Created At` become `created_at`, `http_server`,
/// `created_at`), letters and digits of any script, single underscores, no digit first; nothing left: `unnamed`.
pub fn identifier(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            push_underscore(&mut out, i == 0);
            continue;
        }
        if c.is_uppercase() && i > 0 {
            let after_lower = chars[i - 1].is_lowercase() || chars[i - 1].is_numeric();
            let before_lower = chars[i - 1].is_uppercase() && chars.get(i + 1).is_some_and(|n| n.is_lowercase());
            if after_lower || before_lower {
                push_underscore(&mut out, false);
            }
        }
        out.extend(c.to_lowercase());
    }
    let trimmed = out.trim_end_matches('_');
    match trimmed.chars().next() {
        None => "unnamed".to_owned(),
        Some(c) if c.is_numeric() => format!("_{trimmed}"),
        Some(_) => trimmed.to_owned(),
    }
}

fn push_underscore(out: &mut String, first: bool) {
    if first || (!out.is_empty() && !out.ends_with('_')) {
        out.push('_');
    }
}

/// The column name of a field's path of keys: parts joined by two underscores. A field that begins like one of our own
/// columns gets a prefix.
pub fn column_name(path: &[String]) -> String {
    let joined = path.iter().map(|k| identifier(k)).collect::<Vec<_>>().join(SEPARATOR);
    if joined.is_empty() {
        return "value".to_owned();
    }
    match joined.as_str() {
        ROW_PLACE => format!("{DATA_PREFIX}_{joined}"),
        own if own.starts_with(OWN_PREFIX) => format!("{DATA_PREFIX}{own}"),
        _ => joined,
    }
}

/// The name of a table for a list, cut where it would be too long; a suffix that depends on `origin` alone then keeps it apart.
pub fn table_name(name: String, origin: &str) -> String {
    if name.len() <= TABLE_NAME_BYTES_MAX {
        return name;
    }
    let suffix = format!("_{:016x}", xxh3_64(origin.as_bytes()));
    let kept = &name[..name.floor_char_boundary(TABLE_NAME_BYTES_MAX - suffix.len())];
    format!("{}{suffix}", kept.trim_end_matches('_'))
}

/// The name, or the name with a suffix that depends on `origin` alone, if `taken` says that it is in use.
pub fn unique(name: String, origin: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(&name) {
        return name;
    }
    let hash = xxh3_64(origin.as_bytes());
    // Eight digits settle it; the rest is for the day they don't.
    (8..=16)
        .map(|digits| format!("{name}_{}", &format!("{hash:016x}")[..digits]))
        .find(|candidate| !taken(candidate))
        .unwrap_or_else(|| format!("{name}_{hash:016x}_{}", origin.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        let cases = [
            ("id", "id"),
            ("createdAt", "created_at"),
            ("CreatedAt", "created_at"),
            ("HTTPServer", "http_server"),
            ("userID", "user_id"),
            ("Created At", "created_at"),
            ("a__b", "a_b"),
            ("a-b.c", "a_b_c"),
            ("_id", "_id"),
            ("__typename", "_typename"),
            ("$ref", "_ref"),
            ("2024", "_2024"),
            ("x2Y", "x2_y"),
            ("größe", "größe"),
            ("名前", "名前"),
            ("", "unnamed"),
            ("!!!", "unnamed"),
            ("select", "select"),
        ];
        for (name, expected) in cases {
            assert_eq!(identifier(name), expected, "{name}");
        }
    }

    #[test]
    fn nested_fields_are_joined_and_ours_are_kept_apart() {
        let path = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
        assert_eq!(column_name(&path(&["viewer", "firstName"])), "viewer__first_name");
        assert_eq!(column_name(&path(&["_pintail_id"])), "data_pintail_id");
        assert_eq!(column_name(&[]), "value");
        assert_eq!(column_name(&path(&["ROWID"])), "data_rowid");
        assert_eq!(column_name(&path(&["a", "rowid"])), "a__rowid");
    }

    #[test]
    fn a_long_table_name_is_cut_and_stays_apart() {
        let long = |last: &str| table_name(format!("t{}{last}", "__größe".repeat(40)), last);
        assert_eq!(table_name("t__x".into(), "x"), "t__x");
        assert!(long("a").len() <= TABLE_NAME_BYTES_MAX && long("a").starts_with("t__größe__größe"), "{}", long("a"));
        assert_eq!(long("a"), long("a"));
        assert_ne!(long("a"), long("b"));
    }

    #[test]
    fn a_clash_gives_the_later_name_a_stable_suffix() {
        assert_eq!(unique("a".into(), "x", |_| false), "a");
        let first = unique("user_id".into(), "[\"userId\"]", |n| n == "user_id");
        assert_eq!(first, unique("user_id".into(), "[\"userId\"]", |n| n == "user_id"));
        assert!(first.starts_with("user_id_") && first.len() == "user_id_".len() + 8, "{first}");
        assert_ne!(first, unique("user_id".into(), "[\"userID\"]", |n| n == "user_id"));
    }
}
