//! Comma-separated values (RFC 4180) that are safe to open in a spreadsheet.
//!
//! Always holds: a line has as many fields as the heading; no field begins with what a spreadsheet takes
//! for a formula: such text has an apostrophe before it. Nor does what follows a semicolon, at which some
//! spreadsheets divide a line, whatever is quoted.

/// What a spreadsheet takes for the beginning of a formula, or skips before one.
const FORMULA: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// What a line ends with.
pub(super) const LINE_END: &str = "\r\n";

/// Lines of a table, so far.
#[derive(Debug)]
pub(super) struct Table {
    text: String,
    columns: usize,
}

impl Table {
    /// A table that begins with its heading.
    pub(super) fn new(heading: &[&str]) -> Self {
        let mut table = Self {
            text: String::new(),
            columns: heading.len(),
        };
        table.line(heading);
        table
    }

    /// Adds a line.
    pub(super) fn line(&mut self, fields: &[&str]) {
        debug_assert_eq!(fields.len(), self.columns);
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.field(field);
        }
        self.text.push_str(LINE_END);
    }

    /// What was added since this was asked last.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn field(&mut self, field: &str) {
        let is_formula = field.starts_with(FORMULA);
        let is_quoted = is_formula || field.contains(['"', ',', ';', '\r', '\n']);
        if !is_quoted {
            self.text.push_str(field);
            return;
        }
        self.text.push('"');
        if is_formula {
            self.text.push('\'');
        }
        let mut before = ' ';
        for c in field.chars() {
            if before == ';' && FORMULA.contains(&c) {
                self.text.push('\'');
            }
            if c == '"' {
                self.text.push('"');
            }
            self.text.push(c);
            before = c;
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be_and_formulas_are_text() {
        let mut table = Table::new(&["a", "b"]);
        assert_eq!(table.take(), "a,b\r\n");
        for (fields, line) in [
            (["GROUND-3-A-7", "110.00"], "GROUND-3-A-7,110.00\r\n"),
            (
                ["say \"hi\"", "one,two"],
                "\"say \"\"hi\"\"\",\"one,two\"\r\n",
            ),
            (["two\nlines", ""], "\"two\nlines\",\r\n"),
            (
                ["=HYPERLINK(\"x\")", "@SUM(A1)"],
                "\"'=HYPERLINK(\"\"x\"\")\",\"'@SUM(A1)\"\r\n",
            ),
            (["+1", "-1"], "\"'+1\",\"'-1\"\r\n"),
            (
                ["x;=cmd;y", "\u{ff1d}1"],
                "\"x;'=cmd;y\",\"'\u{ff1d}1\"\r\n",
            ),
            (["\t=1", "\r=1"], "\"'\t=1\",\"'\r=1\"\r\n"),
        ] {
            table.line(&fields);
            assert_eq!(table.take(), line);
        }
    }
}
