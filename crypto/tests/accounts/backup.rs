//! Backups, written and read.

use proptest::prelude::*;
use sottovoce_crypto::{
    AccountMaterial, BACKUP_HEADER_LEN, BackupCode, BackupContact, BackupOpenError, BackupReader,
    BackupRecord, BackupWriteError, BackupWriter, MAX_BACKUP_ITEM_LEN, SEALED_BACKUP_CHUNK_LEN,
    TrustedAccount,
};

use super::people::{account, alice, bob, first, rng, shown};

fn code() -> BackupCode {
    BackupCode::generate(&mut rng(7))
}

fn material() -> AccountMaterial {
    AccountMaterial::new(account(1), first(&account(1), &alice())).unwrap()
}

fn contact() -> BackupContact {
    let trusted = TrustedAccount::trust_on_first_use(shown(&first(&account(2), &bob())));
    BackupContact::of(&trusted, true)
}

/// A backup of an account, a contact and these pieces of history.
fn backup(seed: u8, items: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = BackupWriter::new(&mut rng(seed), &code(), &mut file);
    writer.account(&material(), &mut file).unwrap();
    writer.contact(&contact(), &mut file).unwrap();
    for item in items {
        writer.history(item, &mut file).unwrap();
    }
    writer.finish(&mut file).unwrap();
    file
}

fn read_with(code: &BackupCode, file: &[u8]) -> Result<Vec<BackupRecord>, BackupOpenError> {
    let (header, rest) = file
        .split_at_checked(BACKUP_HEADER_LEN)
        .ok_or(BackupOpenError::Refused)?;
    let mut reader = BackupReader::new(code, file.len() as u64, header)?;
    let mut rest = rest.to_vec();
    let mut rest = rest.as_mut_slice();
    let mut records = Vec::new();
    while let Some(length) = reader.next_sealed_len() {
        let (chunk, after) = rest.split_at_mut(length);
        records.extend(reader.open_next(chunk)?);
        assert!(
            chunk[..length - 16].iter().all(|byte| *byte == 0),
            "what was read is erased"
        );
        rest = after;
    }
    reader.finish()?;
    Ok(records)
}

fn read(file: &[u8]) -> Result<Vec<BackupRecord>, BackupOpenError> {
    read_with(&code(), file)
}

fn history(records: &[BackupRecord]) -> Vec<Vec<u8>> {
    records
        .iter()
        .filter_map(|record| match record {
            BackupRecord::History(item) => Some(item.to_vec()),
            _ => None,
        })
        .collect()
}

/// Three chunks and a bit, with records across their borders.
fn long() -> (Vec<Vec<u8>>, Vec<u8>) {
    let items = vec![vec![1; 100_000], vec![2; 1], vec![3; 70_000], vec![4; 40_000]];
    let file = backup(1, &items);
    (items, file)
}

#[test]
fn a_backup_brings_back_what_was_put_in() {
    let (items, file) = long();
    let records = read(&file).unwrap();
    let [
        BackupRecord::Account(account_back),
        BackupRecord::Contact(contact_back),
        ..,
    ] = records.as_slice()
    else {
        panic!("account and contact come first");
    };
    assert_eq!(account_back.account().public(), account(1).public());
    assert_eq!(account_back.manifest(), material().manifest());
    assert_eq!(**contact_back, contact());
    assert_eq!(history(&records), items);
}

#[test]
fn a_restored_contact_is_not_open_to_another_key() {
    let records = read(&backup(1, &[])).unwrap();
    let BackupRecord::Contact(contact) = &records[1] else {
        panic!("a contact comes second");
    };
    let again = |seed| {
        let shown = shown(&first(&account(seed), &bob()));
        TrustedAccount::trust_again(&contact.account, &contact.view, shown)
    };
    assert!(again(2).is_ok());
    assert!(again(3).is_err());
}

#[test]
fn an_empty_backup_is_one_too() {
    let mut file = Vec::new();
    let writer = BackupWriter::new(&mut rng(1), &code(), &mut file);
    writer.finish(&mut file).unwrap();
    assert_eq!(file.len(), BACKUP_HEADER_LEN + 16);
    assert!(read(&file).unwrap().is_empty());
}

#[test]
fn another_code_opens_no_backup() {
    let file = backup(1, &[vec![5; 10]]);
    let other = BackupCode::generate(&mut rng(8));
    assert_eq!(read_with(&other, &file).unwrap_err(), BackupOpenError::Refused);
}

#[test]
fn a_backup_cut_short_or_lengthened_is_refused() {
    let (_, file) = long();
    let lengths = (0..200).chain((200..file.len()).step_by(997)).chain([
        BACKUP_HEADER_LEN + SEALED_BACKUP_CHUNK_LEN,
        BACKUP_HEADER_LEN + 2 * SEALED_BACKUP_CHUNK_LEN,
        file.len() - 1,
    ]);
    for length in lengths {
        assert!(read(&file[..length]).is_err(), "{length} bytes");
    }
    let longer = [&file[..], &[0; 20]].concat();
    assert!(read(&longer).is_err());
    // A backup whose last chunk is full, cut and grown by whole chunks.
    let text_before = read_len(&backup(1, &[]));
    let full = backup(1, &[vec![6; 65_536 - text_before - 5], vec![7; 65_536 - 5]]);
    assert_eq!(full.len(), BACKUP_HEADER_LEN + 2 * SEALED_BACKUP_CHUNK_LEN);
    assert!(read(&full).is_ok());
    assert!(read(&full[..BACKUP_HEADER_LEN + SEALED_BACKUP_CHUNK_LEN]).is_err());
    assert!(read(&[&full[..], &full[BACKUP_HEADER_LEN..]].concat()).is_err());
}

fn read_len(file: &[u8]) -> usize {
    file.len() - BACKUP_HEADER_LEN - 16
}

#[test]
fn chunks_of_a_backup_stay_where_they_are() {
    let (items, file) = long();
    let other = backup(2, &items);
    let chunk = |file: &[u8], index: usize| {
        let start = BACKUP_HEADER_LEN + index * SEALED_BACKUP_CHUNK_LEN;
        file[start..start + SEALED_BACKUP_CHUNK_LEN].to_vec()
    };
    let with = |place: usize, chunk: &[u8]| {
        let mut changed = file.clone();
        let start = BACKUP_HEADER_LEN + place * SEALED_BACKUP_CHUNK_LEN;
        changed[start..start + SEALED_BACKUP_CHUNK_LEN].copy_from_slice(chunk);
        changed
    };
    assert!(read(&with(0, &chunk(&file, 0))).is_ok());
    for changed in [
        with(0, &chunk(&file, 1)),
        with(1, &chunk(&file, 0)),
        // Of another backup under the same code, which has the same text there.
        with(1, &chunk(&other, 1)),
    ] {
        assert_eq!(read(&changed).unwrap_err(), BackupOpenError::Refused);
    }
}

#[test]
fn every_bit_of_a_backup_is_authenticated() {
    let file = backup(1, &[vec![5; 10]]);
    for bit in (0..file.len() * 8).step_by(3) {
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = read(&bytes).unwrap_err();
        // Of the backup, and of the stream in it.
        let version = bit < 8 || (33 * 8..34 * 8).contains(&bit);
        assert_eq!(error == BackupOpenError::UnsupportedVersion, version, "bit {bit}");
    }
}

#[test]
fn a_refused_chunk_changes_nothing_and_the_right_one_goes_on() {
    let (items, file) = long();
    let (header, rest) = file.split_at(BACKUP_HEADER_LEN);
    let mut reader = BackupReader::new(&code(), file.len() as u64, header).unwrap();
    let mut found = Vec::new();
    let mut rest = rest.to_vec();
    let mut rest = rest.as_mut_slice();
    while let Some(length) = reader.next_sealed_len() {
        let (chunk, after) = rest.split_at_mut(length);
        let mut damaged = chunk.to_vec();
        damaged[9] ^= 1;
        let before = damaged.clone();
        assert_eq!(
            reader.open_next(&mut damaged).unwrap_err(),
            BackupOpenError::Refused
        );
        assert_eq!(damaged, before);
        assert!(reader.open_next(&mut chunk[1..]).is_err());
        found.extend(reader.open_next(chunk).unwrap());
        rest = after;
    }
    assert!(reader.open_next(&mut []).is_err());
    reader.finish().unwrap();
    assert_eq!(history(&found), items);
}

#[test]
fn a_backup_not_read_to_its_end_says_so() {
    let (_, file) = long();
    let (header, rest) = file.split_at(BACKUP_HEADER_LEN);
    let mut reader = BackupReader::new(&code(), file.len() as u64, header).unwrap();
    let mut chunk = rest[..SEALED_BACKUP_CHUNK_LEN].to_vec();
    reader.open_next(&mut chunk).unwrap();
    assert_eq!(reader.finish(), Err(BackupOpenError::Refused));
}

#[test]
fn records_that_break_the_rules_are_not_written() {
    let mut file = Vec::new();
    let mut writer = BackupWriter::new(&mut rng(1), &code(), &mut file);
    assert_eq!(writer.history(&[], &mut file), Err(BackupWriteError::Length));
    assert_eq!(
        writer.history(&vec![0; MAX_BACKUP_ITEM_LEN + 1], &mut file),
        Err(BackupWriteError::Length)
    );
    writer.history(&vec![7; MAX_BACKUP_ITEM_LEN], &mut file).unwrap();
    assert_eq!(
        writer.account(&material(), &mut file),
        Err(BackupWriteError::AccountNotFirst)
    );
    writer.finish(&mut file).unwrap();
    let records = read(&file).unwrap();
    assert_eq!(history(&records), [vec![7; MAX_BACKUP_ITEM_LEN]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_history_comes_back(lengths in prop::collection::vec(1_usize..90_000, 0..6)) {
        let items: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(place, length)| vec![place as u8; *length])
            .collect();
        let file = backup(3, &items);
        prop_assert_eq!(history(&read(&file).unwrap()), items);
    }

    #[test]
    fn no_file_makes_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
        let begun = [&[1], &[0; 32][..], &[1, 0, 1, 0, 0], &bytes].concat();
        prop_assert!(read(&begun).is_err());
    }
}
