//! Operators of templates, rewritten into filters of ours.
//!
//! minijinja compares whatever it is given: by kind where the kinds differ, so that any text is more than any number,
//! and an amount, which is an object to it, more than both. It has no place where a comparison could be told otherwise.
//! But every operator can be written as a filter: `a + b > 1.5` is `((a)|_add((b)))|_gt((1.5))`, and filters are ours.
//! So the operators of a template become calls of [`super::numbers`] before it is compiled, line by line as it was, and a
//! number with a fraction becomes the decimal that it is.

/// A token of a tag, with the white space before it.
#[derive(Debug)]
struct Item<'s> {
    before: &'s str,
    kind: ItemKind<'s>,
}

#[derive(Debug)]
enum ItemKind<'s> {
    Word(&'s str),
    Number(&'s str),
    Text(&'s str),
    Sign(&'s str),
    /// Opening bracket, what is in it, white space before the closing one, and that.
    Group(&'s str, Vec<Item<'s>>, &'s str, &'s str),
}

impl<'s> Item<'s> {
    fn sign(&self) -> Option<&'s str> {
        match self.kind {
            ItemKind::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    fn word(&self) -> Option<&'s str> {
        match self.kind {
            ItemKind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Operators: as written, the filter in their place (none for what stays as it is), and how tightly they bind.
const OPERATORS: &[(&str, Option<&str>, u8)] = &[
    ("==", Some("_eq"), 1),
    ("!=", Some("_ne"), 1),
    ("<", Some("_lt"), 1),
    ("<=", Some("_le"), 1),
    (">", Some("_gt"), 1),
    (">=", Some("_ge"), 1),
    ("in", Some("_in"), 1),
    ("not in", Some("_not_in"), 1),
    ("+", Some("_add"), 2),
    ("-", Some("_sub"), 2),
    ("~", None, 3),
    ("*", Some("_mul"), 4),
    ("/", Some("_div"), 4),
    ("//", Some("_floor"), 4),
    ("%", Some("_rem"), 4),
    ("**", Some("_pow"), 5),
];
/// How tightly comparisons bind.
const COMPARISON: u8 = 1;

/// Words that stand between expressions.
const SEPARATORS: &[&str] = &[
    "and",
    "as",
    "block",
    "call",
    "do",
    "elif",
    "else",
    "extends",
    "filter",
    "for",
    "from",
    "if",
    "import",
    "include",
    "macro",
    "not",
    "or",
    "recursive",
    "set",
    "with",
];
/// Signs of more than one character, the longest first.
const SIGNS: &[&str] = &["**", "//", "==", "!=", "<=", ">="];

/// A template with its operators as filters.
pub(super) fn rewrite(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (text, tag) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(text);
        let end = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map_or(tag.len(), |end| end + 2),
            Some(b'{' | b'%') => {
                rest = self::tag(tag, &mut out);
                continue;
            }
            _ => 1,
        };
        out.push_str(tag.get(..end).unwrap_or(tag));
        rest = tag.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Writes a tag anew, gives what is behind it.
fn tag<'s>(tag: &'s str, out: &mut String) -> &'s str {
    let closing = if tag.starts_with("{%") { "%}" } else { "}}" };
    let is_trimmed = tag.get(2..).is_some_and(|rest| rest.starts_with(['-', '+']));
    let open = if is_trimmed { 3 } else { 2 };
    let mut reader = Reader { rest: tag.get(open..).unwrap_or_default(), closing, is_field: false };
    let items = reader.items();
    let behind = reader.rest;
    let first_word = items.first().and_then(Item::word);
    if first_word == Some("raw") && closing == "%}" {
        // Up to the tag that ends it nothing is a tag.
        let end = behind.find("endraw").unwrap_or(behind.len());
        let length = tag.len() - behind.len() + end;
        out.push_str(tag.get(..length).unwrap_or(tag));
        return tag.get(length..).unwrap_or_default();
    }
    out.push_str(tag.get(..open).unwrap_or(tag));
    out.push_str(&expressions(&items, first_word == Some("for") && closing == "%}"));
    behind
}

struct Reader<'s> {
    rest: &'s str,
    closing: &'s str,
    /// Whether a dot was read just before, behind which stands a name or a place.
    is_field: bool,
}

impl<'s> Reader<'s> {
    /// The items up to a closing bracket or the end of the tag, which stay.
    fn items(&mut self) -> Vec<Item<'s>> {
        let mut items = Vec::new();
        loop {
            let with_blank = self.rest;
            let before = self.blank();
            let closing = self.closing;
            let is_end = |rest: &str| rest.starts_with(closing);
            let is_trimmed_end = self.rest.strip_prefix(['-', '+']).is_some_and(is_end);
            let is_over = self.rest.is_empty() || self.rest.starts_with([')', ']', '}']);
            if is_over || is_end(self.rest) || is_trimmed_end {
                // The white space belongs to what ends.
                self.rest = with_blank;
                return items;
            }
            let kind = self.item();
            items.push(Item { before, kind });
        }
    }

    fn blank(&mut self) -> &'s str {
        let inked = self.rest.trim_start();
        let length = self.rest.len() - inked.len();
        self.take(length)
    }

    fn take(&mut self, length: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn item(&mut self) -> ItemKind<'s> {
        let was_field = std::mem::take(&mut self.is_field);
        let first = self.rest.chars().next().unwrap_or_default();
        let run =
            |fits: &dyn Fn(char) -> bool| self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        match first {
            '"' | '\'' => {
                let length = text_len(self.rest, first);
                ItemKind::Text(self.take(length))
            }
            '(' | '[' | '{' => {
                let open = self.take(1);
                let items = self.items();
                let before = self.blank();
                // Where it is not closed the compiler says so.
                let close = if self.rest.starts_with([')', ']', '}']) { self.take(1) } else { "" };
                ItemKind::Group(open, items, before, close)
            }
            c if c.is_ascii_digit() => {
                let length =
                    if was_field { run(&|c| c.is_ascii_digit()) } else { number_len(self.rest) };
                ItemKind::Number(self.take(length))
            }
            c if c.is_alphanumeric() || c == '_' => {
                let length = run(&|c| c.is_alphanumeric() || c == '_');
                let word = self.take(length);
                // A field's name is no keyword.
                if was_field { ItemKind::Text(word) } else { ItemKind::Word(word) }
            }
            c => {
                let sign = SIGNS.iter().find(|sign| self.rest.starts_with(**sign));
                let sign = self.take(sign.map_or(c.len_utf8(), |sign| sign.len()));
                self.is_field = sign == ".";
                ItemKind::Sign(sign)
            }
        }
    }
}

fn text_len(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + c.len_utf8();
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    rest.len()
}

fn number_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        let is_digit = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        bytes.iter().skip(from).take_while(is_digit).count()
    };
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(length + 1);
    }
    // `1e-5`: the sign is not a letter.
    let is_exponent = rest.get(..length).is_some_and(|text| text.ends_with(['e', 'E']))
        && !rest.starts_with("0x")
        && matches!(bytes.get(length), Some(b'-' | b'+'));
    if is_exponent { length + 1 + digits(length + 1) } else { length }
}

/// Expressions with what separates them.
fn expressions(items: &[Item<'_>], is_loop: bool) -> String {
    let mut out = String::new();
    let mut start = 0;
    let mut loop_in = is_loop;
    for (at, item) in items.iter().enumerate() {
        let next = items.get(at + 1).and_then(Item::word);
        let separates = match item.kind {
            ItemKind::Sign(sign) => matches!(sign, "," | ":" | "="),
            ItemKind::Word("not") => next != Some("in"),
            // The first of a loop says what it goes through.
            ItemKind::Word("in") => std::mem::take(&mut loop_in),
            ItemKind::Word(word) => SEPARATORS.contains(&word),
            _ => false,
        };
        if separates {
            out.push_str(&expression(items.get(start..at).unwrap_or_default()));
            out.push_str(&plain(std::slice::from_ref(item)));
            start = at + 1;
        }
    }
    out.push_str(&expression(items.get(start..).unwrap_or_default()));
    out
}

/// One expression: operands with operators between them.
fn expression(items: &[Item<'_>]) -> String {
    let mut parts = Parts { operands: Vec::new(), operators: Vec::new() };
    let mut start = 0;
    let mut at = 0;
    while let Some(item) = items.get(at) {
        // A sign at the beginning of an operand is its own.
        let has_operand = items.get(start..at).is_some_and(|operand| !operand.is_empty());
        let (name, length) = match item.kind {
            ItemKind::Word("not") => ("not in", 2),
            ItemKind::Word("in") => ("in", 1),
            ItemKind::Sign(sign) => (sign, 1),
            _ => ("", 1),
        };
        let known = OPERATORS.iter().find(|(known, ..)| *known == name).filter(|_| has_operand);
        if let Some(operator) = known {
            parts.operands.push(operand(items.get(start..at).unwrap_or_default()));
            parts.operators.push((operator.0, operator.1, operator.2));
            start = at + length;
        }
        at += length;
    }
    let last = operand(items.get(start..).unwrap_or_default());
    if parts.operators.is_empty() {
        return last;
    }
    let before = items.first().map_or("", |first| first.before);
    parts.operands.push(last);
    format!("{before}({})", parts.join(0, parts.operators.len(), COMPARISON))
}

struct Parts {
    operands: Vec<String>,
    /// As written, filter, how tightly it binds.
    operators: Vec<(&'static str, Option<&'static str>, u8)>,
}

impl Parts {
    /// The operands from `from` on with the operators between `from` and `to`, all of which bind as `level` or more
    /// tightly.
    fn join(&self, from: usize, to: usize, level: u8) -> String {
        let operators = self.operators.get(from..to).unwrap_or_default();
        if operators.is_empty() {
            return self.operands.get(from).cloned().unwrap_or_default();
        }
        let splits: Vec<usize> = (from..to)
            .filter(|at| self.operators.get(*at).is_some_and(|op| op.2 == level))
            .collect();
        let ends = splits.iter().copied().chain([to]);
        let starts = [from].into_iter().chain(splits.iter().map(|at| at + 1));
        let operands = starts.zip(ends).map(|(from, to)| self.join(from, to, level + 1));
        let mut operands = operands.collect::<Vec<_>>().into_iter();
        let mut out = operands.next().unwrap_or_default();
        if splits.is_empty() {
            return out;
        }
        let names = splits.iter().filter_map(|at| self.operators.get(*at));
        let mut left = out.clone();
        out = format!("({out})");
        for (number, ((sign, filter, _), right)) in names.zip(operands).enumerate() {
            match filter {
                // `a < b < c` is `a < b and b < c`.
                Some(filter) if level == COMPARISON && number > 0 => {
                    out = format!("{out} and ({left})|{filter}(({right}))");
                }
                Some(filter) => out = format!("{out}|{filter}(({right}))"),
                None => out = format!("{out} {sign} ({right})"),
            }
            left = right;
        }
        out
    }
}

/// An operand: a value with its fields, filters and tests, and perhaps a sign.
fn operand(items: &[Item<'_>]) -> String {
    let signs = items.iter().take_while(|item| item.sign() == Some("-")).count();
    let (minuses, rest) = items.split_at_checked(signs).unwrap_or((&[], items));
    // Of `-a.b|abs` the sign belongs to `a.b`.
    let is_end = |item: &Item<'_>| item.sign() == Some("|") || item.word() == Some("is");
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    let (value, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    let before: String = minuses.iter().map(|minus| minus.before).collect();
    match signs % 2 {
        0 => format!("{before}{}", plain(items.get(signs..).unwrap_or_default())),
        _ => format!("{before}(({})|_neg){}", plain(value), plain(behind)),
    }
}

/// Items as they are, but for numbers with a fraction and what is in brackets.
fn plain(items: &[Item<'_>]) -> String {
    let mut out = String::new();
    for item in items {
        out.push_str(item.before);
        match &item.kind {
            ItemKind::Word(text) | ItemKind::Text(text) | ItemKind::Sign(text) => {
                out.push_str(text);
            }
            ItemKind::Number(number) if is_fraction(number) => {
                out.extend(["(\"", &number.replace('_', ""), "\"|_decimal)"]);
            }
            ItemKind::Number(number) => out.push_str(number),
            ItemKind::Group(open, inner, before, close) => {
                out.push_str(open);
                out.push_str(&expressions(inner, false));
                out.push_str(before);
                out.push_str(close);
            }
        }
    }
    out
}

fn is_fraction(number: &str) -> bool {
    number.contains('.') || (number.contains(['e', 'E']) && !number.starts_with("0x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_become_filters() {
        for (source, want) in [
            ("a {{ b }} { c }", "a {{ b }} { c }"),
            ("{{ a+b*c }}", "{{ ((a)|_add(((b)|_mul((c))))) }}"),
            ("{{ a - b - 1.5|abs }}", "{{ ((a )|_sub(( b ))|_sub(( (\"1.5\"|_decimal)|abs))) }}"),
            ("{% if not a.b[c > 1] and d %}", "{% if not a.b[((c )|_gt(( 1)))] and d %}"),
            ("{%- for x in y if x < 2 -%}", "{%- for x in y if ((x )|_lt(( 2))) -%}"),
            ("{{ a not in b }}", "{{ ((a)|_not_in(( b))) }}"),
            ("{{ 1 < a <= 2 }}", "{{ ((1 )|_lt(( a )) and ( a )|_le(( 2))) }}"),
            ("{{ f(-a.b|abs, x=-1) }}", "{{ f(((a.b)|_neg)|abs, x=((1)|_neg)) }}"),
            ("{{ a ~ b + 1 }}", "{{ (((a ) ~ ( b ))|_add(( 1))) }}"),
            ("{% set x = {'a': {'b': 1 + 1}} %}", "{% set x = {'a': {'b': ((1 )|_add(( 1)))}} %}"),
            (
                "{# a < b #}{% raw %}{{ a < b }}{% endraw %}",
                "{# a < b #}{% raw %}{{ a < b }}{% endraw %}",
            ),
            ("{{ a.in < 'b < c' }}\n{{ a.0 }}", "{{ ((a.in )|_lt(( 'b < c'))) }}\n{{ a.0 }}"),
            (
                "{{ x is eq 1.5 }}{{ a if b > 1 else c }}",
                "{{ x is eq (\"1.5\"|_decimal) }}{{ a if ((b )|_gt(( 1))) else c }}",
            ),
            ("{{ a <", "{{ ((a )|_lt(()))"),
            ("{{ a )", "{{ a )"),
        ] {
            let squeeze = |text: &str| text.replace(' ', "");
            assert_eq!(squeeze(&rewrite(source)), squeeze(want), "{source}");
        }
    }
}
