// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

import {Owned} from "./Owned.sol";

interface IAggregator {
    function decimals() external view returns (uint8);
    function description() external view returns (string memory);
    function version() external view returns (uint256);
    function latestAnswer() external view returns (int256);
    function latestTimestamp() external view returns (uint256);
    function latestRound() external view returns (uint256);
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
    function getRoundData(uint80 id) external view returns (uint80, int256, uint256, uint256, uint80);
}

/// The address that stays while aggregators come and go. It asks the aggregator itself, so an aggregator with two views
/// shows the one meant for this proxy. Each aggregator is a phase; a round's id carries its phase above bit 64.
contract AggregatorProxy is Owned {
    uint16 public phaseId;
    address public aggregator;
    mapping(uint16 => address) public phaseAggregators;

    event AggregatorConfirmed(address indexed previous, address indexed latest);

    error NoAggregator();

    /// Puts an aggregator behind the proxy, which begins a phase.
    function confirmAggregator(address next) external onlyOwner {
        require(next.code.length > 0, NoAggregator());
        emit AggregatorConfirmed(aggregator, next);
        phaseId += 1;
        aggregator = next;
        phaseAggregators[phaseId] = next;
    }

    function latestAnswer() external view returns (int256) {
        return IAggregator(aggregator).latestAnswer();
    }

    function latestTimestamp() external view returns (uint256) {
        return IAggregator(aggregator).latestTimestamp();
    }

    function latestRound() external view returns (uint256) {
        return (uint256(phaseId) << 64) | uint64(IAggregator(aggregator).latestRound());
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        (roundId, answer, startedAt, updatedAt, answeredInRound) = IAggregator(aggregator).latestRoundData();
        (roundId, answeredInRound) = (_inPhase(phaseId, roundId), _inPhase(phaseId, answeredInRound));
    }

    function getRoundData(uint80 id)
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        uint16 phase = uint16(id >> 64);
        address of_ = phaseAggregators[phase];
        require(of_ != address(0), NoAggregator());
        (roundId, answer, startedAt, updatedAt, answeredInRound) = IAggregator(of_).getRoundData(uint64(id));
        (roundId, answeredInRound) = (_inPhase(phase, roundId), _inPhase(phase, answeredInRound));
    }

    function decimals() external view returns (uint8) {
        return IAggregator(aggregator).decimals();
    }

    function description() external view returns (string memory) {
        return IAggregator(aggregator).description();
    }

    function version() external view returns (uint256) {
        return IAggregator(aggregator).version();
    }

    function _inPhase(uint16 phase, uint80 round) private pure returns (uint80) {
        return (uint80(phase) << 64) | uint64(round);
    }
}
