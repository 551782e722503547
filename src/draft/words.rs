//! Names as they are compared and written.

/// A name without case and signs: `page[size]`, `pageSize` and `page_size` are one.
pub(super) fn normal(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A word of many in its singular, where English is regular enough.
pub(super) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 2) {
        return format!("{stem}y");
    }
    for ending in ["sses", "shes", "ches", "xes"] {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{}", &ending[..ending.len() - 2]);
        }
    }
    let is_plural = word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is");
    if is_plural && word.len() > 2 { word[..word.len() - 1].to_owned() } else { word.to_owned() }
}

/// A text of the document as TOML, on one line. Nothing in it is read as a variable or an expression.
pub(super) fn quoted(text: &str) -> String {
    written(&text.replace("${", "$ {").replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #"))
}

/// A text of our own as TOML, on one line: its variables and expressions are meant.
pub(super) fn written(text: &str) -> String {
    // What JSON escapes, TOML escapes alike; it also wants this one.
    serde_json::Value::String(text.to_owned()).to_string().replace('\u{7f}', "\\u007F")
}

/// A key as TOML.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A value as TOML, if it is a single one.
pub(super) fn value(json: &serde_json::Value) -> Option<String> {
    match json {
        serde_json::Value::String(text) => Some(quoted(text)),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// An inline table.
pub(super) fn inline(entries: &[(String, String)]) -> String {
    let entries = entries.iter().map(|(name, value)| format!("{} = {value}", key(name)));
    format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
}

/// The first line of a text, for a comment: at most so long that a line holds it.
pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= 110 {
        return line;
    }
    let cut: String = line.chars().take(108).collect();
    format!("{} …", cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_signs() {
        for name in ["page[size]", "pageSize", "page_size", "$pageSize"] {
            assert_eq!(normal(name), "pagesize");
        }
    }

    #[test]
    fn words_become_singular() {
        for (many, one) in [
            ("projects", "project"),
            ("companies", "company"),
            ("boxes", "box"),
            ("statuses", "statuse"),
            ("status", "status"),
            ("address", "address"),
            ("addresses", "address"),
            ("news", "new"),
            ("is", "is"),
        ] {
            assert_eq!(singular(many), one, "{many}");
        }
    }

    #[test]
    fn text_is_written_so_that_toml_reads_it_back() {
        for text in ["plain", "with \"quotes\"", "back\\slash", "two\nlines", "é", "\u{7f}"] {
            let table: toml::Table = format!("{} = {}", key(text), quoted(text)).parse().unwrap();
            assert_eq!(table[text].as_str(), Some(text));
            assert!(!quoted(text).contains('\n'));
        }
        assert_eq!(quoted("${HOME} {{ x }}"), "\"$ {HOME} { { x }}\"");
    }
}
