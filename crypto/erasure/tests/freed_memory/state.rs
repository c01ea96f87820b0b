//! Reading stored sessions (section 11 of the specification) and messages (section 8), for their secrets.

/// A stored session, without what is not secret and not needed.
pub(crate) struct State {
    pub(crate) suite: u8,
    pub(crate) root: [u8; 32],
    pub(crate) secret: Option<[u8; 32]>,
    pub(crate) sending: Option<[u8; 32]>,
    pub(crate) theirs: Option<[u8; 32]>,
    pub(crate) receiving: Option<[u8; 32]>,
    pub(crate) kem_seed: Option<[u8; 64]>,
    pub(crate) offer: Option<Box<[u8; 1184]>>,
}

/// The headers of a message that a receiver derives keys from.
pub(crate) struct Message<'a> {
    pub(crate) ratchet_key: &'a [u8; 32],
    pub(crate) answer: Option<&'a [u8; 1088]>,
}

impl State {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader(bytes);
        assert_eq!(reader.take::<2>(), &[0x01, 0x01]);
        let [suite] = *reader.take();
        reader.take::<64>();
        let mut state = Self {
            suite,
            root: *reader.take(),
            secret: None,
            sending: None,
            theirs: None,
            receiving: None,
            kem_seed: None,
            offer: None,
        };
        if suite == 0x02 {
            reader.take::<12>();
        }
        match reader.take() {
            [0x01] => {
                reader.handshake();
                state.read_sending(&mut reader);
            }
            [0x02] => {
                state.read_sending(&mut reader);
                state.read_receiving(&mut reader);
            }
            [0x03] => {
                state.read_receiving(&mut reader);
                reader.take::<4>();
                if reader.take() == &[0x01] {
                    state.offer = Some(Box::new(*reader.take()));
                }
            }
            other => panic!("turn {other:?}"),
        }
        assert!(reader.0.is_empty());
        state
    }

    fn read_sending(&mut self, reader: &mut Reader<'_>) {
        self.secret = Some(*reader.take());
        self.sending = Some(*reader.take());
        reader.take::<8>();
        match reader.take() {
            [0x00] => {}
            [0x01] => self.kem_seed = Some(*reader.take()),
            _ => _ = reader.take::<1088>(),
        }
    }

    fn read_receiving(&mut self, reader: &mut Reader<'_>) {
        self.theirs = Some(*reader.take());
        self.receiving = Some(*reader.take());
        reader.take::<4>();
    }
}

impl<'a> Message<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let mut reader = Reader(bytes);
        let [_, kind] = *reader.take();
        if kind == 0x01 {
            reader.handshake();
        }
        let ratchet_key = reader.take();
        reader.take::<8>();
        let mut answer = None;
        if kind == 0x03 && reader.take() == &[0x02] {
            answer = Some(reader.take());
        }
        Self { ratchet_key, answer }
    }

    /// Where the ratchet key of an initial message stands.
    pub(crate) fn ratchet_key_position(bytes: &[u8]) -> usize {
        let mut reader = Reader(bytes);
        reader.take::<2>();
        reader.handshake();
        bytes.len() - reader.0.len()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> &'a [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        taken
    }

    fn handshake(&mut self) {
        let [suite] = *self.take();
        self.take::<4>();
        if self.take() == &[0x01] {
            self.take::<4>();
        }
        self.take::<32>();
        if suite == 0x02 {
            self.take::<{ 4 + 1088 }>();
        }
    }
}
