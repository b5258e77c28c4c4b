// Answers what Aave's own JavaScript library says of accounts and of interest: one line of JSON in, one line out.
//
// usage: node math-utils.mjs FOLDER    (FOLDER holds node_modules)

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

if (!process.argv[2]) throw new Error("name the folder that holds node_modules");
const require = createRequire(join(resolve(process.argv[2]), "package.json"));
const aave = require("@aave/math-utils");

const ANSWERS = {
  account({ reserves, eModes, userReserves, category, now }) {
    const base = {
      currentTimestamp: now,
      marketReferencePriceInUsd: "100000000",
      marketReferenceCurrencyDecimals: 8,
    };
    const formattedReserves = aave.formatReserves({ ...base, reserves, eModes });
    const summary = aave.formatUserSummary({
      ...base,
      userReserves,
      formattedReserves,
      userEmodeCategoryId: category,
    });
    return {
      collateral: summary.totalCollateralMarketReferenceCurrency,
      debt: summary.totalBorrowsMarketReferenceCurrency,
      available: summary.availableBorrowsMarketReferenceCurrency,
      ltv: summary.currentLoanToValue,
      threshold: summary.currentLiquidationThreshold,
      health: summary.healthFactor,
    };
  },
  interest({ rate, last, now }) {
    const span = { rate, lastUpdateTimestamp: last, currentTimestamp: now };
    return {
      linear: aave.calculateLinearInterest(span).toFixed(),
      compounded: aave.calculateCompoundedInterest(span).toFixed(),
    };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...question } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(ANSWERS[ask](question))}\n`);
}
