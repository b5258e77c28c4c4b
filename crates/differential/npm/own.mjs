// Compiles our own contracts and writes own.json beside contracts.json, in the same shape: one family, and the signatures
// of its errors and of its events.
//
// usage: node own.mjs FOLDER SOURCES    (FOLDER holds node_modules, SOURCES the .sol files)

import { readFileSync, readdirSync } from "node:fs";
import { join, resolve as absolute } from "node:path";

import { compile, links, signature, write } from "./solc.mjs";

if (!process.argv[3]) throw new Error("name the folder that holds node_modules, and the one that holds the sources");
const [folder, from] = process.argv.slice(2, 4).map((path) => absolute(path));

const names = readdirSync(from).filter((name) => name.endsWith(".sol")).sort();
const output = compile(join(folder, "node_modules"), {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(from, name), "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "cancun",
    metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"] } },
  },
});
const warnings = output.errors ?? [];
if (warnings.length > 0) throw new Error(warnings.map((warning) => warning.formattedMessage).join("\n"));

const family = {};
const signatures = new Map([["error", new Set()], ["event", new Set()]]);
for (const contracts of Object.values(output.contracts)) {
  for (const [name, { abi, evm }] of Object.entries(contracts)) {
    for (const item of abi) signatures.get(item.type)?.add(signature(item));
    if (evm.bytecode.object) family[name] = { code: evm.bytecode.object, links: links(evm.bytecode.linkReferences) };
  }
}
const [errors, events] = ["error", "event"].map((kind) => [...signatures.get(kind)].sort());
write(join(folder, "own.json"), { family, errors, events });
