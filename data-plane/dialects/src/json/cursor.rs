//! A place in a JSON text, and the steps forward from it. No step recurses and none can leave the text.

use super::ScanError;
use super::blocks;
use super::skip::plain_end;

pub(crate) type Span = std::ops::Range<usize>;

pub(super) const DEPTH_MAX: usize = 128;

/// How closely values are looked at on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rigor {
    /// The whole grammar, to this many levels of containers (at most [`DEPTH_MAX`]).
    Strict { depth: usize },
    /// Strings and brackets only.
    Light,
}

#[derive(Clone, Debug)]
pub(crate) struct Cursor<'b> {
    text: &'b [u8],
    at: usize,
    rigor: Rigor,
}

/// The kinds of the containers we are in, one bit each (1: object), innermost lowest.
struct Nesting {
    kinds: u128,
    depth: usize,
}

impl<'b> Cursor<'b> {
    /// A cursor that only finds its way: for text that was checked before, or that a provider sent.
    #[inline]
    pub(crate) fn light(text: &'b [u8]) -> Self {
        Self { text, at: 0, rigor: Rigor::Light }
    }

    /// A light cursor in the middle of a text.
    #[inline]
    pub(crate) fn light_at(text: &'b [u8], at: usize) -> Self {
        Self { text, at, rigor: Rigor::Light }
    }

    #[inline]
    pub(super) fn strict(text: &'b [u8], depth: usize) -> Self {
        Self { text, at: 0, rigor: Rigor::Strict { depth: depth.min(DEPTH_MAX) } }
    }

    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The text of a span that this cursor gave out.
    #[inline]
    pub(crate) fn slice(&self, span: &Span) -> &'b [u8] {
        self.text.get(span.clone()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    pub(crate) fn unexpected<T>(&self, expected: &'static str) -> Result<T, ScanError> {
        Err(ScanError::Syntax { at: self.at, expected })
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return self.unexpected(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes the string that begins here and gives what is between its quotes.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Span, ScanError> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        loop {
            self.at = plain_end(self.text, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => {
                    self.escape()?;
                    // Where one is, there are more.
                    self.at = blocks::pass(self.text, self.at);
                }
                Some(_) => return self.unexpected("no control character inside a string, but its escape"),
                None => return self.unexpected("the closing '\"' of a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.unexpected("four hexadecimal digits after '\\u'");
                    }
                }
                self.at += 1;
            }
            _ => return self.unexpected("one of '\"', '\\', '/', b, f, n, r, t, u after a backslash"),
        }
        Ok(())
    }

    /// Passes the value that begins here. Its first byte must not be a blank.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Span, ScanError> {
        let start = self.at;
        self.skip()?;
        Ok(start..self.at)
    }

    /// [`Cursor::value`], for who does not care where it stood.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{' | b'[') => match self.rigor {
                Rigor::Light => self.skip_container(),
                Rigor::Strict { depth } => self.check_container(depth),
            },
            Some(_) => self.scalar(),
            None => self.unexpected("a value"),
        }
    }

    /// Calls `on` for each member of the object that begins here, with the cursor at the value and what is between the
    /// key's quotes. `on` must pass the value.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut on: impl FnMut(&mut Self, Span) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.expect(b'{', "an object")?;
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            on(self, key)?;
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.unexpected("',' or '}' after a member"),
            }
            self.skip_blanks();
        }
    }

    /// Calls `on` for each element of the array that begins here, with the cursor at the element, which `on` must pass.
    #[inline]
    pub(crate) fn array(&mut self, mut on: impl FnMut(&mut Self) -> Result<(), ScanError>) -> Result<(), ScanError> {
        self.expect(b'[', "an array")?;
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            on(self)?;
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.unexpected("',' or ']' after an element"),
            }
            self.skip_blanks();
        }
    }

    /// Passes a key and its colon, up to the value.
    #[inline]
    fn key(&mut self) -> Result<Span, ScanError> {
        if self.peek() != Some(b'"') {
            return self.unexpected("a key in '\"'");
        }
        let key = self.string()?;
        self.skip_blanks();
        self.expect(b':', "':' after a key")?;
        self.skip_blanks();
        Ok(key)
    }

    fn scalar(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.unexpected("a value"),
        }
    }

    fn literal(&mut self, literal: &'static [u8]) -> Result<(), ScanError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(literal)) {
            return self.unexpected("true, false or null");
        }
        self.at += literal.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.unexpected("a digit") } else { Ok(()) }
    }

    /// Passes a container by counting brackets: what is inside need not be JSON, but for its strings.
    fn skip_container(&mut self) -> Result<(), ScanError> {
        match blocks::past_container(self.text, self.at) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => {
                self.at = self.text.len();
                self.unexpected("the end of an object or array")
            }
        }
    }

    /// Goes to the quote that opens the next string; false if there is none.
    pub(super) fn seek_string(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += memchr::memchr(b'"', rest).unwrap_or(rest.len());
        self.peek().is_some()
    }

    /// Passes a container and checks everything in it, `depth` being how many levels there may be.
    fn check_container(&mut self, depth: usize) -> Result<(), ScanError> {
        let mut nesting = Nesting { kinds: 0, depth: 0 };
        loop {
            // Here a value begins.
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(open @ (b'{' | b'[')) => {
                    // The object around this value counts too.
                    if nesting.depth + 1 >= depth {
                        return Err(ScanError::TooDeep { at: self.at, limit: depth });
                    }
                    nesting.push(open == b'{');
                    self.at += 1;
                    self.skip_blanks();
                    match (open, self.peek()) {
                        (b'{', Some(b'}')) | (b'[', Some(b']')) => {}
                        (b'{', _) => {
                            self.key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                _ => self.scalar()?,
            }
            if self.close_containers(&mut nesting)? {
                return Ok(());
            }
        }
    }

    /// From the end of a value on: closes what closes, and goes to where the next value begins. True at the very end.
    #[inline]
    fn close_containers(&mut self, nesting: &mut Nesting) -> Result<bool, ScanError> {
        while nesting.depth > 0 {
            self.skip_blanks();
            match (self.peek(), nesting.in_object()) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.skip_blanks();
                    self.key()?;
                    return Ok(false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    self.skip_blanks();
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    nesting.pop();
                }
                (_, true) => return self.unexpected("',' or '}' after a member"),
                (_, false) => return self.unexpected("',' or ']' after an element"),
            }
        }
        Ok(true)
    }
}

impl Nesting {
    fn push(&mut self, object: bool) {
        self.kinds = (self.kinds << 1) | u128::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}
