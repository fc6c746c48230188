//! Writes the messages and the client of `lossmeter.v1` into `src/generated`, and the server that
//! the tests play into `tests/suite/generated`.
//!
//! ```text
//! cargo run --locked -p generate
//! ```

use std::error::Error;
use std::path::Path;

const FILES: [&str; 2] = [
    "lossmeter/v1/loss_service.proto",
    "lossmeter/v1/state.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let protocol = protox::compile(FILES, [root.join("../../proto")])?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        // Sorted by name, so that equal messages are equal bytes.
        .btree_map(".")
        // A piece of a tensor shares its memory.
        .bytes(".lossmeter.v1.Tensor.data")
        .out_dir(root.join("src/generated"))
        .compile_fds(protocol.clone())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".lossmeter.v1", "::lossmeter_client::v1")
        .out_dir(root.join("tests/suite/generated"))
        .compile_fds(protocol)?;
    Ok(())
}
