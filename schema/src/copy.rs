//! Rows in the binary format of [COPY].
//!
//! [COPY]: https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4

/// Collects rows for `copy … from stdin (format binary)`.
#[derive(Debug)]
pub(crate) struct CopyRows {
    buffer: Vec<u8>,
    columns: i16,
}

impl CopyRows {
    /// Begins rows of so many columns, with room for so many bytes.
    pub(crate) fn new(columns: i16, capacity: usize) -> Self {
        let mut buffer = Vec::with_capacity(capacity + 32);
        buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        buffer.extend_from_slice(&[0; 8]);
        Self { buffer, columns }
    }

    /// Begins a row: its columns have to follow, in order.
    pub(crate) fn row(&mut self) -> &mut Self {
        self.buffer.extend_from_slice(&self.columns.to_be_bytes());
        self
    }

    /// Adds a `bigint`.
    pub(crate) fn bigint(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Adds an `integer`.
    pub(crate) fn integer(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Adds a `bytea`, `text` or `json`.
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        // Events are bounded far below 2 GiB.
        self.buffer
            .extend_from_slice(&(value.len() as i32).to_be_bytes());
        self.buffer.extend_from_slice(value);
        self
    }

    /// Adds a value serialised as JSON, or null.
    pub(crate) fn json<T: serde::Serialize>(&mut self, value: Option<&T>) -> &mut Self {
        let Some(value) = value else {
            return self.null();
        };
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        // Strings into a Vec: serialisation has no way to fail.
        let written = serde_json::to_writer(&mut self.buffer, value);
        debug_assert!(written.is_ok());
        let length = (self.buffer.len() - at - 4) as i32;
        self.buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// Adds null.
    pub(crate) fn null(&mut self) -> &mut Self {
        self.buffer.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    /// Ends the rows.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.buffer.extend_from_slice(&(-1_i16).to_be_bytes());
        self.buffer
    }
}
