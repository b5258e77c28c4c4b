// Prints every production market of versions 2 and 3 in the address book:
// `book,chain_id,addresses_provider,pool,configurator,oracle,data_provider,treasury`.
// Usage: node markets.mjs <path of the book's module>

import { pathToFileURL } from 'node:url';

const book = await import(pathToFileURL(process.argv[2]).href);

// Play money, as in assets.mjs.
const TESTNET = /Sepolia|Fuji/;

const FIELDS = [
  'CHAIN_ID',
  'POOL_ADDRESSES_PROVIDER',
  'POOL',
  'POOL_CONFIGURATOR',
  'ORACLE',
  'AAVE_PROTOCOL_DATA_PROVIDER',
  'COLLECTOR',
];

for (const name of Object.keys(book).sort()) {
  const market = book[name];
  if (/^AaveV[23]/.test(name) && !TESTNET.test(name) && market.POOL !== undefined) {
    console.log([name, ...FIELDS.map((field) => market[field])].join(','));
  }
}
