//! The messages of a PostgreSQL server as they pass: how far it is with what it was asked.

/// A message's type and its length, which counts itself and not the type.
const HEAD: usize = 5;
/// `ReadyForQuery`: all that was asked is answered.
const READY: u8 = b'Z';
/// `BackendKeyData`: the number of the session, then a secret.
const KEY: u8 = b'K';

/// Follows a server's messages through chunks that end anywhere.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// How many bytes of the head have come.
    have: usize,
    /// How many bytes of the body are still to come.
    body: usize,
    pid: u32,
    /// How many bytes of the session's number are still to come.
    pid_bytes: usize,
    is_ready: bool,
}

impl Frames {
    /// Takes what came next.
    pub(super) fn pass(&mut self, mut chunk: &[u8]) {
        while let Some((&byte, rest)) = chunk.split_first() {
            if self.body > 0 {
                let taken = self.body.min(chunk.len());
                let (body, after) = chunk.split_at(taken);
                for byte in &body[..taken.min(self.pid_bytes)] {
                    self.pid = self.pid << 8 | u32::from(*byte);
                }
                self.pid_bytes = self.pid_bytes.saturating_sub(taken);
                self.body -= taken;
                chunk = after;
                continue;
            }
            self.head[self.have] = byte;
            self.have += 1;
            chunk = rest;
            if self.have == HEAD {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        let [kind, length @ ..] = self.head;
        self.have = 0;
        self.body = (u32::from_be_bytes(length) as usize).saturating_sub(HEAD - 1);
        self.is_ready = kind == READY;
        if kind == KEY {
            (self.pid, self.pid_bytes) = (0, 4);
        }
    }

    /// Whether the last message is whole and says that all is answered.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready && self.have == 0 && self.body == 0
    }

    /// The session's number, once it has come; 0 before.
    pub(super) fn pid(&self) -> u32 {
        if self.pid_bytes == 0 { self.pid } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_followed_wherever_their_chunks_end() {
        let key = [&b"K\0\0\0\x0c"[..], &70_000_u32.to_be_bytes(), b"abcd"].concat();
        let ready = b"Z\0\0\0\x05I";
        // A row that holds what looks like the end.
        let row = [&b"D\0\0\0\x0a"[..], &ready[..]].concat();
        let all = [&key[..], ready, &row, b"C\0\0\0\x06ab", ready].concat();
        for size in 1..=all.len() {
            let mut frames = Frames::default();
            let mut passed = 0;
            for chunk in all.chunks(size) {
                frames.pass(chunk);
                passed += chunk.len();
                let ends = [key.len() + ready.len(), all.len()];
                assert_eq!(frames.is_ready(), ends.contains(&passed), "chunks of {size}, after {passed}");
            }
            assert_eq!(frames.pid(), 70_000);
        }
    }
}
