//! Writes the seeds of the fuzz targets.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, name, contents) in sottovoce_fuzz::seeds() {
        fs::write(folder.join(target).join(name), contents)?;
    }
    Ok(())
}
