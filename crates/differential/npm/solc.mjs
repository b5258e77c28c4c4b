// What both compilations share: the compiler, and the shape of what is written.

import { renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** `{file: {library: [{start, length}]}}` becomes `{library: [start]}`; a library's name is unique in a family. */
export function links(references) {
  const out = {};
  for (const libraries of Object.values(references)) {
    for (const [library, places] of Object.entries(libraries)) {
      out[library] = places.map((place) => place.start);
    }
  }
  return out;
}

/** solc-js passes its input on the stack, where a large one does not fit: this puts it on the heap. */
export function compile(modules, input) {
  const soljson = createRequire(join(modules, "solc", "package.json"))("./soljson.js");
  const allocate = soljson.cwrap("solidity_alloc", "number", ["number"]);
  const text = Buffer.from(JSON.stringify(input), "utf8");
  const at = allocate(text.length + 1);
  soljson.HEAPU8.set(text, at);
  soljson.HEAPU8[at + text.length] = 0;
  const run = soljson.cwrap("solidity_compile", "number", ["number", "number", "number"]);
  const output = JSON.parse(soljson.UTF8ToString(run(at, 0, 0)));
  const fatal = (output.errors ?? []).filter((error) => error.severity === "error");
  if (fatal.length > 0) throw new Error(fatal.map((error) => error.formattedMessage).join("\n"));
  return output;
}

export function signature(item) {
  return `${item.name}(${item.inputs.map((input) => input.type).join(",")})`;
}

/** Under its final name only when it is whole. */
export function write(path, content) {
  writeFileSync(`${path}.part`, JSON.stringify(content));
  renameSync(`${path}.part`, path);
}
