// Prints every asset of every market in the address book: `market,chain_id,address,symbol,decimals`.
// Usage: node assets.mjs <path of the book's module>

import { pathToFileURL } from 'node:url';

const book = await import(pathToFileURL(process.argv[2]).href);

// Play money: the same symbols at other addresses, of no use to anyone reading a market.
const TESTNET = /Sepolia|Fuji/;

// Older protocol versions first: their spelling of a symbol is the one that files already use.
const markets = Object.keys(book)
  .filter((name) => book[name].ASSETS !== undefined && !TESTNET.test(name))
  .sort();

for (const name of markets) {
  const { CHAIN_ID, ASSETS } = book[name];
  for (const [symbol, asset] of Object.entries(ASSETS)) {
    console.log([name, CHAIN_ID, asset.UNDERLYING, symbol, asset.decimals].join(','));
  }
}
