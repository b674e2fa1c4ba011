//! Which file of the crate uses an item of which other file.
//!
//! An arrow goes from a file to the file that declares what it names: re-exports are followed, and a parent that only
//! declares or re-exports its children does not use them.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// A module by its names from the crate's root.
type Module = Vec<String>;

/// A name that a `use` brings in.
struct Import {
    is_public: bool,
    path: Vec<String>,
    name: String,
}

/// The files of the crate as modules, with what they import and their code without that.
pub(super) struct Crate {
    imports: BTreeMap<Module, Vec<Import>>,
    code: BTreeMap<Module, String>,
}

impl Crate {
    /// From paths below `src/` and the code of each file.
    pub(super) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let import = Regex::new(r"(?m)^[ \t]*(pub(?:\([^)]*\))? )?use ([^;]+);").unwrap();
        let visibility = Regex::new(r"pub\(in [^)]*\)").unwrap();
        let mut found = Self { imports: BTreeMap::new(), code: BTreeMap::new() };
        for (file, code) in files {
            let code = visibility.replace_all(&code, "pub(in)").into_owned();
            let mut module: Module =
                file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            let mut imports = Vec::new();
            for one in import.captures_iter(&code) {
                for path in branches(&one[2].split_whitespace().collect::<Vec<_>>().join(" ")) {
                    let (path, renamed) =
                        path.split_once(" as ").map_or((&*path, None), |(a, b)| (a, Some(b)));
                    let mut path: Vec<String> =
                        path.split("::").map(|name| name.trim().to_owned()).collect();
                    path.pop_if(|last| last == "self");
                    let name = renamed.map(str::to_owned).or_else(|| path.last().cloned());
                    let name = name.unwrap_or_default();
                    imports.push(Import { is_public: one.get(1).is_some(), path, name });
                }
            }
            found.code.insert(module.clone(), import.replace_all(&code, "").into_owned());
            found.imports.insert(module, imports);
        }
        found
    }

    /// The path from the crate's root; `None` for what is not of this crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut base = module.clone();
        let ups = path.iter().take_while(|name| *name == "super").count();
        base.truncate(base.len().saturating_sub(ups));
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&base[..], &path[1..]].concat()),
            "super" => Some([&base[..], &path[ups..]].concat()),
            first => {
                let child = [&base[..], &[first.to_owned()]].concat();
                self.code.contains_key(&child).then(|| [&base[..], path].concat())
            }
        }
    }

    /// The module that declares what a path names.
    fn declares(&self, path: &[String], depth: usize) -> Module {
        let mut module = Module::new();
        for (at, name) in path.iter().enumerate() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            if self.code.contains_key(&child) {
                module = child;
                continue;
            }
            let imports = self.imports.get(&module).into_iter().flatten();
            let import = imports.into_iter().find(|import| import.name == *name);
            let origin = import.and_then(|import| self.absolute(&module, &import.path));
            return match origin {
                Some(origin) if depth < 8 && origin != path[..=at] => {
                    self.declares(&[&origin[..], &path[at + 1..]].concat(), depth + 1)
                }
                _ => module,
            };
        }
        module
    }

    /// Whom each module uses.
    pub(super) fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let path = Regex::new(r"\b[A-Za-z_]\w*(?:::\w+)*").unwrap();
        let mut arrows = BTreeMap::new();
        for (module, code) in &self.code {
            let imports = &self.imports[module];
            let mut used: Vec<Module> = Vec::new();
            for import in imports.iter().filter(|import| !import.is_public) {
                let origin = self.absolute(module, &import.path);
                used.extend(origin.filter(|origin| !self.code.contains_key(origin)));
            }
            for found in path.find_iter(code) {
                let names: Vec<String> = found.as_str().split("::").map(str::to_owned).collect();
                let import = imports.iter().find(|import| import.name == names[0]);
                let named = match import {
                    Some(import) => [&import.path[..], &names[1..]].concat(),
                    None if names.len() > 1 => names,
                    None => continue,
                };
                used.extend(self.absolute(module, &named));
            }
            let mut used: BTreeSet<Module> =
                used.iter().map(|path| self.declares(path, 0)).collect();
            used.remove(module);
            arrows.insert(module.clone(), used);
        }
        arrows
    }
}

/// `a::{b, c::{d}}` as `a::b` and `a::c::d`.
fn branches(tree: &str) -> Vec<String> {
    let Some((stem, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for letter in body.chars() {
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = depth + usize::from(letter == '{') - usize::from(letter == '}');
                parts.last_mut().unwrap().push(letter);
            }
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| branches(&format!("{}{}", stem.trim(), part.trim()))).collect()
}

/// The sets of modules that know each other in a circle, each sorted.
pub(super) fn circles(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reach = |from: &Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for to in arrows.get(&module).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        arrows.keys().map(|module| (module, reach(module))).collect();
    let mut found: Vec<BTreeSet<Module>> = Vec::new();
    for (module, after) in &reached {
        let circle: BTreeSet<Module> = after
            .iter()
            .filter(|other| reached.get(other).is_some_and(|it| it.contains(*module)))
            .cloned()
            .collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}
