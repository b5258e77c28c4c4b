// Writes contracts.json beside the installed packages: bytecode by family and contract, with the places where
// libraries must be linked. Three families come compiled in their packages; the newest one is source only.
//
// usage: node compile.mjs FOLDER    (FOLDER holds node_modules)

import { readFileSync, readdirSync } from "node:fs";
import { join, posix, resolve as absolute } from "node:path";

import { compile, links, signature, write } from "./solc.mjs";

if (!process.argv[2]) throw new Error("name the folder that holds node_modules");
const folder = absolute(process.argv[2]);
const modules = join(folder, "node_modules");

const POOL_LOGIC = [
  "BorrowLogic",
  "BridgeLogic",
  "ConfiguratorLogic",
  "EModeLogic",
  "FlashLoanLogic",
  "LiquidationLogic",
  "PoolLogic",
  "SupplyLogic",
];
const V3_0 = [
  ...POOL_LOGIC,
  "AaveOracle",
  "AaveProtocolDataProvider",
  "ACLManager",
  "AToken",
  "DefaultReserveInterestRateStrategy",
  "MintableERC20",
  "Pool",
  "PoolAddressesProvider",
  "PoolConfigurator",
  "StableDebtToken",
  "VariableDebtToken",
];
const COMPILED = {
  v2: {
    artifacts: "@aave/protocol-v2/artifacts/contracts",
    names: [
      "AaveOracle",
      "AToken",
      "DefaultReserveInterestRateStrategy",
      "GenericLogic",
      "LendingPool",
      "LendingPoolAddressesProvider",
      "LendingPoolCollateralManager",
      "LendingPoolConfigurator",
      "LendingRateOracle",
      "MintableERC20",
      "ReserveLogic",
      "StableDebtToken",
      "ValidationLogic",
      "VariableDebtToken",
    ],
  },
  v3_0_0: { artifacts: "core-v3-0/artifacts/contracts", names: V3_0 },
  v3_0_2: { artifacts: "core-v3-2/artifacts/contracts", names: V3_0 },
};

/** Where a compiled family's artifact lies: the file named after the contract, wherever its source stood. */
function artifactPath(under, name) {
  for (const entry of readdirSync(under, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name === `${name}.json`) return join(entry.parentPath ?? entry.path, entry.name);
  }
  throw new Error(`no artifact of ${name} under ${under}`);
}

function compiledFamily({ artifacts, names }) {
  const family = {};
  for (const name of names) {
    const artifact = JSON.parse(readFileSync(artifactPath(join(modules, artifacts), name), "utf8"));
    family[name] = { code: artifact.bytecode.replace(/^0x/, ""), links: links(artifact.linkReferences) };
  }
  return family;
}

const ORIGIN = "@aave-dao/aave-v3-origin/src/contracts";
const ENTRIES = [
  `${ORIGIN}/instances/PoolInstance.sol`,
  `${ORIGIN}/instances/PoolConfiguratorInstance.sol`,
  `${ORIGIN}/instances/ATokenInstance.sol`,
  `${ORIGIN}/instances/VariableDebtTokenInstance.sol`,
  `${ORIGIN}/protocol/configuration/PoolAddressesProvider.sol`,
  `${ORIGIN}/protocol/configuration/ACLManager.sol`,
  `${ORIGIN}/misc/AaveOracle.sol`,
  `${ORIGIN}/misc/DefaultReserveInterestRateStrategyV2.sol`,
  `${ORIGIN}/helpers/AaveProtocolDataProvider.sol`,
  `${ORIGIN}/mocks/tokens/MintableERC20.sol`,
];
const ERRORS = `${ORIGIN}/protocol/libraries/helpers/Errors.sol`;
const LIBRARIES = ["BorrowLogic", "ConfiguratorLogic", "FlashLoanLogic", "LiquidationLogic", "PoolLogic", "SupplyLogic"];
const REMAPPED = [
  ["openzeppelin-contracts/contracts/", "@openzeppelin/contracts/"],
  ["openzeppelin-contracts-upgradeable/contracts/", "@openzeppelin/contracts-upgradeable/"],
  ["solidity-utils/", "@bgd-labs/solidity-utils/src/"],
];

/** The file an import means, as a path under node_modules. */
function resolve(from, target) {
  if (target.startsWith(".")) return posix.normalize(posix.join(posix.dirname(from), target));
  for (const [prefix, place] of REMAPPED) {
    if (target.startsWith(prefix)) return place + target.slice(prefix.length);
  }
  return target;
}

/** Every file the entries need, so that nothing else is compiled. */
function sources() {
  const found = new Map();
  const open = [...ENTRIES];
  while (open.length > 0) {
    const path = open.pop();
    if (found.has(path)) continue;
    const content = readFileSync(join(modules, path), "utf8");
    found.set(path, { content });
    for (const match of content.matchAll(/^\s*(?:import|\}\s*from)\b[^;]*?["']([^"']+)["']\s*;/gms)) {
      open.push(resolve(path, match[1]));
    }
  }
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sourceFamily() {
  const selection = { "*": { "*": ["evm.bytecode.object", "evm.bytecode.linkReferences"] }, [ERRORS]: { Errors: ["abi"] } };
  const output = compile(modules, {
    language: "Solidity",
    sources: sources(),
    settings: {
      optimizer: { enabled: true, runs: 200 },
      evmVersion: "shanghai",
      metadata: { bytecodeHash: "none" },
      remappings: REMAPPED.map(([prefix, place]) => `${prefix}=${place}`),
      outputSelection: selection,
    },
  });
  const wanted = new Set([...ENTRIES.map((path) => posix.basename(path, ".sol")), ...LIBRARIES]);
  const family = {};
  for (const contracts of Object.values(output.contracts)) {
    for (const [name, contract] of Object.entries(contracts)) {
      if (!wanted.has(name) || !contract.evm?.bytecode?.object) continue;
      family[name] = { code: contract.evm.bytecode.object, links: links(contract.evm.bytecode.linkReferences) };
    }
  }
  const errors = output.contracts[ERRORS].Errors.abi.filter((item) => item.type === "error");
  return { family, errors: errors.map(signature) };
}

const families = {};
for (const [name, description] of Object.entries(COMPILED)) families[name] = compiledFamily(description);
const { family, errors } = sourceFamily();
families.v3_6 = family;
write(join(folder, "contracts.json"), { families, errors });
