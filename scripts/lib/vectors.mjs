// Runs crypto/examples/check_vectors.rs, built for WebAssembly, and says what came of it.
import { readFile } from "node:fs/promises";
import { exit } from "node:process";

const module = await WebAssembly.compile(await readFile(process.argv[2]));
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) {
  console.error("   the core imports", imports, "and should import nothing");
  exit(1);
}
const { exports } = await WebAssembly.instantiate(module, {});
let file;
try {
  file = exports.main(0, 0);
} catch (error) {
  console.error(`   a file of vectors does not hold in WebAssembly: ${error.message}`);
  exit(1);
}
if (file !== 0) {
  console.error(`   the ${file}. file of vectors is not what WebAssembly comes to`);
  exit(1);
}
console.log("   test vectors: made again and checked in WebAssembly");
