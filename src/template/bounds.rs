//! How large a template may be, looked at before the compiler sees it.

use super::TemplateError;

/// Words, numbers and signs between `{{` and `}}`, or `{%` and `%}`, at most.
const TAG_PARTS_MAX: usize = 400;
/// Deepest nesting of brackets in such a tag, and of blocks such as `{% if %}`.
const NESTING_MAX: usize = 24;
/// `elif`s in a template at most.
const ELIFS_MAX: usize = 100;

/// A first look at a template's text, before the compiler sees it: that one recurses over what is nested and over each
/// link of a chain such as `a|b|c`, and would overflow its stack, which aborts the process.
pub(super) fn check(source: &str) -> Result<(), TemplateError> {
    let mut line = 1;
    let refuse =
        |line, message: String| Err(TemplateError { line: Some(line), message, undefined: false });
    if source.matches("elif").nth(ELIFS_MAX).is_some() {
        return refuse(line, format!("more than {ELIFS_MAX} elif in one template"));
    }
    let (mut chars, mut blocks) = (source.chars().peekable(), 0_usize);
    while let Some(c) = chars.next() {
        line += u32::from(c == '\n');
        let is_block = chars.peek() == Some(&'%');
        if c != '{' || !(is_block || chars.peek() == Some(&'{')) {
            continue;
        }
        chars.next();
        let mut tag = Tag::default();
        while let Some(c) = chars.next() {
            line += u32::from(c == '\n');
            if tag.take(c) && chars.peek() == Some(&'}') {
                break;
            }
            if tag.parts > TAG_PARTS_MAX {
                return refuse(line, format!("more than {TAG_PARTS_MAX} parts in one tag"));
            }
            if tag.brackets > NESTING_MAX {
                return refuse(line, format!("nested more than {NESTING_MAX} deep"));
            }
        }
        match tag.word.as_str() {
            _ if !is_block => {}
            word if word.starts_with("end") => blocks = blocks.saturating_sub(1),
            "set" if tag.assigns => {}
            "if" | "for" | "block" | "macro" | "filter" | "call" | "with" | "set"
            | "autoescape" => blocks += 1,
            _ => {}
        }
        if blocks > NESTING_MAX {
            return refuse(line, format!("blocks nested more than {NESTING_MAX} deep"));
        }
    }
    Ok(())
}

/// What stands between the braces of a tag, as far as it was read.
#[derive(Debug, Default)]
struct Tag {
    parts: usize,
    brackets: usize,
    /// Its first word, and whether that is complete.
    word: String,
    named: bool,
    assigns: bool,
    in_word: bool,
    quote: Option<char>,
    escaped: bool,
}

impl Tag {
    /// Takes a character; whether it may be the first of the end.
    fn take(&mut self, c: char) -> bool {
        if let Some(quote) = self.quote {
            if !self.escaped && c == quote {
                self.quote = None;
            }
            self.escaped = !self.escaped && c == '\\';
            return false;
        }
        let is_word = c.is_alphanumeric() || c == '_';
        if !(c.is_whitespace() || is_word && self.in_word) {
            self.parts += 1;
        }
        if is_word && !self.named {
            self.word.push(c);
        }
        // A tag may begin with the sign that takes white space away.
        self.named |= !is_word && !self.word.is_empty();
        self.in_word = is_word;
        match c {
            '"' | '\'' => self.quote = Some(c),
            '(' | '[' | '{' => self.brackets += 1,
            ')' | ']' => self.brackets = self.brackets.saturating_sub(1),
            '=' => self.assigns = true,
            _ => {}
        }
        c == '%' || c == '}'
    }
}
