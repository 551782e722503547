//! The files of partitions that a pipeline file names: they have to be there.

use super::Secrets;
use super::diagnostic::Diagnostics;
use super::tree::{Node, Table};
use std::fs::File;
use std::path::Path;

/// Notes the files that can't be read: as mistakes of the file before a run, in `missing` where it is only checked.
pub(super) fn check_files(
    table: &Table,
    folder: &Path,
    secrets: Secrets,
    found: &mut Diagnostics,
    missing: &mut Vec<String>,
) {
    let resources = table.get("resources").and_then(Node::as_table);
    let resources = resources.into_iter().flat_map(|t| &t.entries).map(|(_, node)| node);
    for resource in resources.chain(table.get("resource_defaults")).filter_map(Node::as_table) {
        let lists = resource.get("partitions").map(Node::one_or_many).unwrap_or_default();
        for node in lists.iter().filter_map(Node::as_table).filter_map(|list| list.get("file")) {
            let Some(path) = node.resolved() else { continue };
            let Err(cause) = open(&folder.join(&path)) else { continue };
            match secrets {
                Secrets::Required => {
                    let message = format!("the file `{path}` can't be read: {cause}");
                    found.error(node.span.clone(), message).help("its path is relative to this file");
                }
                Secrets::Optional => missing.push(format!("file:{path}")),
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<()> {
    if File::open(path)?.metadata()?.is_dir() {
        return Err(std::io::Error::other("it is a folder"));
    }
    Ok(())
}
