//! Attachments of several lengths, and what must not be taken for one.

use serde_json::{Value, json};
use sottovoce_crypto::{AttachmentPointer, open_attachment, seal_attachment};

use super::by_hand::{hkdf, seal, sha256};
use super::conversation::{LONG, put_long};
use super::draws::Draws;
use super::json::{array, bytes, hex, list, number, refusal, text};

/// Bytes of a chunk with its tag.
const SEALED_CHUNK: usize = 65_552;

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(9);
    let lengths = [0, 1, 4_096, 4_097, 65_536, 65_537, 131_073];
    let attachments: Vec<_> = lengths.iter().map(|length| attachment(draws, *length)).collect();
    json!({
        "content": "byte i of every content is i modulo 251",
        "attachments": attachments,
        "refused": refused(&attachments),
        "refused pointers": refused_pointers(&bytes(&attachments[1]["pointer"])),
    })
}

fn content(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn attachment(draws: &mut Draws, length: usize) -> Value {
    let content = content(length);
    let (sealed, pointer) = seal_attachment(draws, &content).unwrap();
    let drawn = draws.take(&["key"]);
    let key: [u8; 32] = array(&drawn[0]["bytes"]);
    let text_len = padded_len(length);
    let mut text = content;
    text.resize(text_len, 0);
    let (by_hand, chunk_key, chunks) = stream(&key, length, &text);
    assert_eq!(sealed, by_hand, "by hand it is another stream");
    let mut json = json!({
        "content length": length,
        "draws": drawn,
        "chunk key": hex(chunk_key),
        "padded length": text_len,
        "chunks": chunks,
        "pointer": hex(&*pointer.to_bytes()),
    });
    put_long(&mut json, "sealed", &sealed);
    if sealed.len() < 5_000 {
        json["sealed"] = hex(&sealed);
    }
    json
}

/// A chunk stream (17), its key and its chunks.
fn stream(key: &[u8; 32], content_len: usize, padded: &[u8]) -> (Vec<u8>, [u8; 32], Value) {
    let header = [1, 0, 1, 0, 0];
    let content_len = u64::try_from(content_len).unwrap().to_be_bytes();
    let info = [b"Sottovoce-v1 attachment".as_slice(), &header, &content_len].concat();
    let chunk_key = hkdf(&[0; 32], key, &info);
    let mut stream = header.to_vec();
    let mut chunks = Vec::new();
    let count = padded.len().div_ceil(65_536);
    for (index, chunk) in padded.chunks(65_536).enumerate() {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&u64::try_from(index).unwrap().to_be_bytes());
        nonce[11] = u8::from(index + 1 == count);
        let sealed = seal(&chunk_key, &nonce, &[], chunk);
        chunks.push(json!({
            "nonce": hex(nonce),
            "from byte": stream.len(),
            "length": sealed.len(),
            "tag": hex(&sealed[chunk.len()..]),
        }));
        stream.extend(sealed);
    }
    (stream, chunk_key, chunks.into())
}

/// Padmé, at least 4096 (17.4).
fn padded_len(length: usize) -> usize {
    let length = length.max(4_096);
    let exponent = length.ilog2();
    let zeros = exponent - exponent.ilog2() - 1;
    length.next_multiple_of(1 << zeros)
}

/// Streams that are made of the bytes of good ones, and streams with a right tag and a wrong text.
fn refused(attachments: &[Value]) -> Value {
    let last = attachments.len() - 1;
    let length = |of: usize| sealed(&attachments[of]).len();
    let (short, long) = (length(1), length(last));
    let second = 5 + SEALED_CHUNK;
    let third = second + SEALED_CHUNK;
    let mut forms = Vec::new();
    let mut add = |of: usize, reason: &str, pieces: Value, flipped: Value| {
        let mut form = json!({
            "reason": reason,
            "attachment": of,
            "pieces": pieces,
            "flipped lowest bit of byte": flipped,
            "pointer": attachments[of]["pointer"],
        });
        form["error"] = reopen(attachments, &form).into();
        forms.push(form);
    };
    let none = Value::Null;
    add(1, "another version", json!([[0, short]]), 0.into());
    add(1, "another length of a chunk", json!([[0, short]]), 4.into());
    add(1, "a damaged byte of content", json!([[0, short]]), 5.into());
    add(1, "a damaged byte of padding", json!([[0, short]]), 4_000.into());
    add(1, "a damaged tag", json!([[0, short]]), (short - 1).into());
    add(1, "a byte too few", json!([[0, short - 1]]), none.clone());
    add(1, "a byte too many", json!([[0, short], [0, 1]]), none.clone());
    add(1, "a header only", json!([[0, 5]]), none.clone());
    add(1, "nothing", json!([]), none.clone());
    add(last, "the last chunk missing", json!([[0, third]]), none.clone());
    add(
        last,
        "chunks in another order",
        json!([[0, 5], [second, third], [5, second], [third, long]]),
        none.clone(),
    );
    add(
        last,
        "a chunk twice",
        json!([[0, second], [5, second], [third, long]]),
        none.clone(),
    );
    add(
        last,
        "a chunk missing",
        json!([[0, second], [third, long]]),
        none.clone(),
    );
    add(
        last,
        "a damaged byte of the second chunk",
        json!([[0, long]]),
        (second + 10).into(),
    );
    add(
        last,
        "cut off within the last chunk",
        json!([[0, long - 16]]),
        none,
    );

    let mut other = json!({
        "reason": "the key of another attachment",
        "attachment": 1,
        "pieces": [[0, short]],
        "flipped lowest bit of byte": null,
    });
    let mut pointer = bytes(&attachments[1]["pointer"]);
    pointer[1..33].copy_from_slice(&bytes(&attachments[0]["pointer"])[1..33]);
    other["pointer"] = hex(&pointer);
    other["error"] = reopen(attachments, &other).into();
    forms.push(other);
    let mut longer = json!({
        "reason": "a content length that is not the true one, of the same padded length",
        "attachment": 1,
        "pieces": [[0, short]],
        "flipped lowest bit of byte": null,
    });
    let mut pointer = bytes(&attachments[1]["pointer"]);
    pointer[33..41].copy_from_slice(&2_u64.to_be_bytes());
    longer["pointer"] = hex(&pointer);
    longer["error"] = reopen(attachments, &longer).into();
    forms.push(longer);

    let key = array(&attachments[1]["draws"][0]["bytes"]);
    let mut text = vec![0; 4_096];
    text[4_095] = 1;
    let (dirty, _, _) = stream(&key, 1, &text);
    let mut form = json!({
        "reason": "padding that is not zeros, under a right tag",
        "stream": hex(dirty),
        "pointer": attachments[1]["pointer"],
    });
    form["error"] = reopen(attachments, &form).into();
    forms.push(form);
    forms.into()
}

/// Why a stream does not open.
fn reopen(attachments: &[Value], form: &Value) -> String {
    let stream = match form.get("stream") {
        Some(stream) => bytes(stream),
        None => {
            let index = |value: &Value| usize::try_from(number(value)).unwrap();
            let whole = sealed(&attachments[index(&form["attachment"])]);
            let mut stream: Vec<u8> = list(&form["pieces"])
                .iter()
                .flat_map(|piece| &whole[index(&piece[0])..index(&piece[1])])
                .copied()
                .collect();
            let flipped = &form["flipped lowest bit of byte"];
            if !flipped.is_null() {
                stream[index(flipped)] ^= 1;
            }
            stream
        }
    };
    let pointer = AttachmentPointer::from_bytes(&bytes(&form["pointer"])).unwrap();
    refusal(open_attachment(&pointer, &stream))
}

fn refused_pointers(pointer: &[u8]) -> Value {
    let with = |position: usize, field: &[u8]| {
        let mut changed = pointer.to_vec();
        changed[position..position + field.len()].copy_from_slice(field);
        changed
    };
    let over = (1_u64 << 32) + 1;
    let forms = [
        ("another version", with(0, &[2])),
        (
            "a sealed length that is not the content's",
            with(48, &[pointer[48] ^ 1]),
        ),
        ("content over the limit", with(33, &over.to_be_bytes())),
        ("a byte too few", pointer[..48].to_vec()),
        ("a byte too many", [pointer, &[0]].concat()),
        ("nothing", Vec::new()),
    ];
    forms
        .iter()
        .map(|(reason, pointer)| {
            let error = refusal(AttachmentPointer::from_bytes(pointer));
            json!({ "reason": reason, "pointer": hex(pointer), "error": error })
        })
        .collect()
}

pub(crate) fn check(file: &Value) {
    let attachments = list(&file["attachments"]);
    for entry in attachments {
        let content = content(usize::try_from(number(&entry["content length"])).unwrap());
        let sealed = sealed(entry);
        if let Some(stored) = entry.get("sealed") {
            assert_eq!(hex(&sealed), *stored);
        }
        if sealed.len() >= LONG {
            assert_eq!(hex(sha256(&sealed)), entry["sealed, SHA-256"]);
        }
        let pointer = AttachmentPointer::from_bytes(&bytes(&entry["pointer"])).unwrap();
        assert_eq!(*open_attachment(&pointer, &sealed).unwrap(), content);
        assert_eq!(hex(&*pointer.to_bytes()), entry["pointer"]);
    }
    for form in list(&file["refused"]) {
        assert_eq!(
            reopen(attachments, form),
            text(&form["error"]),
            "{}",
            form["reason"]
        );
    }
    for form in list(&file["refused pointers"]) {
        let error = refusal(AttachmentPointer::from_bytes(&bytes(&form["pointer"])));
        assert_eq!(error, text(&form["error"]), "{}", form["reason"]);
    }
}

/// The sealed bytes of an entry, made again from its draws.
fn sealed(entry: &Value) -> Vec<u8> {
    let draws = &mut Draws::given(&entry["draws"]);
    let content = content(usize::try_from(number(&entry["content length"])).unwrap());
    seal_attachment(draws, &content).unwrap().0
}
