// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

import {Owned} from "./Owned.sol";
import {ISolver} from "./Settlement.sol";

interface IPool {
    function liquidationCall(
        address collateral,
        address debt,
        address user,
        uint256 amount,
        bool receiveAToken
    ) external;
}

interface IToken {
    function approve(address spender, uint256 amount) external returns (bool);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// A searcher's contract: it liquidates with tokens it holds, and pays the builder directly or a settlement its bid.
/// The collateral stays here; what it is sold for is the owner's business.
contract Searcher is Owned, ISolver {
    struct Liquidation {
        address pool;
        address collateral;
        address debt;
        address user;
        /// Of the debt token, in its smallest unit; the largest number repays as much as may be repaid.
        uint256 amount;
    }

    address public immutable settlement;

    error OnlySettlement();
    error NotMyOperation();
    error NotSent();

    constructor(address settlement_) {
        settlement = settlement_;
    }

    receive() external payable {}

    /// Liquidates and pays whoever gets the block's fees, all or nothing.
    function liquidateAndPay(Liquidation[] calldata liquidations, uint256 toBuilder) external payable onlyOwner {
        _liquidate(liquidations);
        _send(block.coinbase, toBuilder);
    }

    /// The settlement's call. `data` is the liquidations, and what this contract pays, which should be the bid.
    function solve(address from, uint256, bytes calldata data) external {
        require(msg.sender == settlement, OnlySettlement());
        require(from == owner, NotMyOperation());
        (Liquidation[] memory liquidations, uint256 pays) = abi.decode(data, (Liquidation[], uint256));
        _liquidate(liquidations);
        _send(settlement, pays);
    }

    /// Takes out a token, or with no token's address the native one.
    function withdraw(address token, uint256 amount) external onlyOwner {
        if (token == address(0)) {
            _send(owner, amount);
        } else {
            require(IToken(token).transfer(owner, amount), NotSent());
        }
    }

    function _liquidate(Liquidation[] memory liquidations) private {
        for (uint256 i = 0; i < liquidations.length; i++) {
            Liquidation memory one = liquidations[i];
            IToken(one.debt).approve(one.pool, type(uint256).max);
            IPool(one.pool).liquidationCall(one.collateral, one.debt, one.user, one.amount, false);
            IToken(one.debt).approve(one.pool, 0);
        }
    }

    function _send(address to, uint256 value) private {
        if (value == 0) return;
        (bool done,) = to.call{value: value}("");
        require(done, NotSent());
    }
}
