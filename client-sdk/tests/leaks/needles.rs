//! The search.

use std::collections::BTreeMap;

use super::talk::SAID;

/// Everything that must not be found, as it is and as hexadecimal digits.
pub(crate) struct Needles {
    named: Vec<(String, Vec<u8>)>,
    /// Which needles begin with these two bytes: most places are passed over at this look.
    beginnings: Vec<Vec<usize>>,
}

impl Needles {
    pub(crate) fn new(secrets: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut named: Vec<_> = SAID
            .iter()
            .map(|text| ((*text).to_owned(), text.as_bytes().to_vec()))
            .collect();
        for (name, secret) in secrets {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            named.push((name.clone(), secret.clone()));
            named.push((name.clone(), hex.into_bytes()));
        }
        let mut beginnings = vec![Vec::new(); 1 << 16];
        for (n, (_, needle)) in named.iter().enumerate() {
            beginnings[usize::from(u16::from_be_bytes([needle[0], needle[1]]))].push(n);
        }
        Self { named, beginnings }
    }

    pub(crate) fn first_in(&self, bytes: &[u8]) -> Option<&str> {
        bytes.windows(2).enumerate().find_map(|(at, two)| {
            let candidates = &self.beginnings[usize::from(u16::from_be_bytes([two[0], two[1]]))];
            let found = |n: &&usize| bytes[at..].starts_with(&self.named[**n].1);
            candidates.iter().find(found).map(|n| self.named[*n].0.as_str())
        })
    }
}
