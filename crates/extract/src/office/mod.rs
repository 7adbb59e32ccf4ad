//! Word, PowerPoint and Excel since 2007: archives of XML parts that name each other.

pub(crate) mod docx;
pub(crate) mod pptx;
mod sheet;
mod styles;
pub(crate) mod xlsx;

use std::collections::HashMap;

use crate::{
    archive::Archive,
    refusal::Refusal,
    xml::{self, Node},
};

/// The parts that one part names.
#[derive(Default)]
pub(crate) struct Relations {
    /// Kind (the last word of its address) and target of each, by id.
    targets: HashMap<String, (String, String)>,
}

impl Relations {
    /// Reads what the part `of` names; an empty name stands for the whole document. A part without
    /// relations has none.
    pub(crate) fn read(archive: &mut Archive<'_>, of: &str) -> Result<Self, Refusal> {
        let (folder, file) = of.rsplit_once('/').unwrap_or(("", of));
        let name = format!("{folder}/_rels/{file}.rels");
        let mut targets = HashMap::new();
        xml::read_part(archive, name.trim_start_matches('/'), |node| {
            if let Node::Open(element) = node
                && element.name() == "Relationship"
                && let (Some(id), Some(kind), Some(target)) = (
                    element.attribute("Id"),
                    element.attribute("Type"),
                    element.attribute("Target"),
                )
                && element.attribute("TargetMode").as_deref() != Some("External")
            {
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                targets.insert(id, (kind, resolve(folder, &target)));
            }
            Ok(())
        })?;
        Ok(Self { targets })
    }

    /// The part of this id.
    pub(crate) fn target(&self, id: &str) -> Option<&str> {
        self.targets.get(id).map(|(_, target)| target.as_str())
    }

    /// The parts of this kind, in the order of their names.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<String> {
        let all = self.targets.values();
        let mut found: Vec<String> = all
            .filter(|(found, _)| found == kind)
            .map(|(_, target)| target.clone())
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// The part that the document begins with, where the archive says so; else its usual name.
pub(crate) fn main_part(archive: &mut Archive<'_>, usual: &str) -> Result<String, Refusal> {
    let relations = Relations::read(archive, "")?;
    let main = relations.of_kind("officeDocument");
    Ok(main.into_iter().next().unwrap_or_else(|| usual.to_owned()))
}

/// The refusal of a document without the part that it begins with.
pub(crate) fn without(part: &str) -> Refusal {
    Refusal::invalid(format!(
        "The file lacks the part {part}, which holds its text. Save it again and upload it."
    ))
}

/// The title in the document's properties.
pub(crate) fn title(archive: &mut Archive<'_>) -> Result<Option<String>, Refusal> {
    let (mut title, mut within) = (String::new(), false);
    xml::read_part(archive, "docProps/core.xml", |node| {
        match node {
            Node::Open(element) => within = element.name() == "title",
            Node::Close(_) => within = false,
            Node::Text(text) if within => title.push_str(text),
            Node::Text(_) => {}
        }
        Ok(())
    })?;
    let title = title.trim();
    Ok((!title.is_empty()).then(|| title.to_owned()))
}

/// A target relative to the folder of the part that names it.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut path: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            step => path.push(step),
        }
    }
    path.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_relative_to_their_part() {
        assert_eq!(resolve("word", "footnotes.xml"), "word/footnotes.xml");
        assert_eq!(
            resolve("ppt/slides", "../notesSlides/n1.xml"),
            "ppt/notesSlides/n1.xml"
        );
        assert_eq!(resolve("xl", "/xl/worksheets/a.xml"), "xl/worksheets/a.xml");
        assert_eq!(resolve("", "../../etc/passwd"), "etc/passwd");
    }
}
