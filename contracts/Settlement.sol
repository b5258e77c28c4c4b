// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

import {Owned} from "./Owned.sol";

interface IForwarder {
    function isAuthorizedSender(address sender) external view returns (bool);
    function forward(address to, bytes calldata data) external;
}

interface ISolver {
    /// Does what the solver's operation is for, and sends the bid to the caller.
    function solve(address from, uint256 bid, bytes calldata data) external;
}

/// Settles an auction in one transaction: the oracle's update, the best solver's operation, the payment of its bid and
/// the bid's split. Where no solver pays, everything is undone, the update too.
///
/// A solver signs for one update. Operations are tried in the order of their bids; one that fails, or that does not pay
/// exactly its bid, leaves nothing behind but a line in the log.
contract Settlement is Owned {
    uint256 public constant SCALE = 10_000;
    bytes32 public constant OPERATION_TYPE = keccak256(
        "SolverOperation(address from,address solver,uint256 bid,uint256 gasLimit,uint256 deadline,bytes32 updateHash,bytes data)"
    );
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    /// Half the order of the curve: of two signatures that are equally good, the one with the smaller number counts.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    /// What is needed after a solver's operation to pay out and to end.
    uint256 private constant RESERVED_GAS = 150_000;
    /// What a solver's operation may use at most.
    uint256 public constant MAX_SOLVER_GAS = 6_000_000;
    /// A builder's contract gets this much to take its part.
    uint256 private constant BUILDER_GAS = 30_000;

    // What became of an operation: each a bit, at the places where indexers of such auctions look for them.
    uint256 public constant INVALID_SIGNATURE = 1 << 0;
    uint256 public constant INVALID_UPDATE_HASH = 1 << 1;
    uint256 public constant DEADLINE_PASSED = 1 << 8;
    uint256 public constant INVALID_SOLVER = 1 << 10;
    uint256 public constant PER_BLOCK_LIMIT = 1 << 12;
    uint256 public constant SOLVER_REVERTED = 1 << 17;
    uint256 public constant BID_NOT_PAID = 1 << 19;

    struct SolverOperation {
        /// Who signs.
        address from;
        /// The contract that is called.
        address solver;
        /// In wei of the native token.
        uint256 bid;
        uint256 gasLimit;
        /// The last block in which the operation is good.
        uint256 deadline;
        /// Of the update it is for: `updateHash(forwarder, update)`.
        bytes32 updateHash;
        /// Handed to the solver's contract.
        bytes data;
        bytes signature;
    }

    struct Split {
        address auctioneer;
        address protocol;
        uint16 auctioneerBps;
        /// Of whoever gets the block's fees.
        uint16 builderBps;
    }

    Split public split;
    mapping(address => bool) public isForwarder;
    mapping(address => uint256) public lastBlock;
    mapping(bytes32 => bool) public isSpent;
    bool private isRunning;
    /// The solver that is running: the only one who may pay in.
    address private running;

    event SplitSet(address auctioneer, address protocol, uint16 auctioneerBps, uint16 builderBps);
    event ForwarderSet(address indexed forwarder, bool allowed);
    event OevAllocated(
        address indexed auctioneer,
        address indexed builder,
        address indexed protocol,
        uint256 total,
        uint256 toAuctioneer,
        uint256 toBuilder,
        uint256 toProtocol
    );
    event SolverTxResult(
        address indexed solverTo,
        address indexed solverFrom,
        address indexed control,
        address bidToken,
        uint256 bidAmount,
        bool executed,
        bool success,
        uint256 result
    );
    event MetacallResult(
        address indexed bundler, address indexed user, bool solverSuccessful, uint256 paidToBundler, uint256 surcharge
    );

    error ZeroDestination();
    error SharesAboveWhole();
    error UnknownForwarder();
    error BundlerIsNotAuthorizedSender();
    error InvalidSelector();
    error BidsOutOfOrder();
    error NotEnoughGas();
    error UserNotFulfilled();
    error Reentered();
    error OnlySelf();
    error OnlySolver();
    error SolverReverted();
    error BidNotPaid();
    error NotPaidOut();

    constructor(Split memory split_) {
        _setSplit(split_);
    }

    /// Only the solver that is running pays in.
    receive() external payable {
        require(running != address(0), OnlySolver());
    }

    function setSplit(Split calldata split_) external onlyOwner {
        require(!isRunning, Reentered());
        _setSplit(split_);
    }

    /// Whose updates may be settled. The forwarder's owner has to authorise this contract as a sender.
    function setForwarder(address forwarder, bool allowed) external onlyOwner {
        isForwarder[forwarder] = allowed;
        emit ForwarderSet(forwarder, allowed);
    }

    function updateHash(address forwarder, bytes calldata update) public pure returns (bytes32) {
        return keccak256(abi.encode(forwarder, keccak256(update)));
    }

    function domainSeparator() public view returns (bytes32) {
        bytes32 name = keccak256("Tidegate Settlement");
        return keccak256(abi.encode(DOMAIN_TYPE, name, keccak256("1"), block.chainid, address(this)));
    }

    /// What a solver signs.
    function operationHash(SolverOperation calldata operation) public view returns (bytes32) {
        bytes32 content = keccak256(
            abi.encode(
                OPERATION_TYPE,
                operation.from,
                operation.solver,
                operation.bid,
                operation.gasLimit,
                operation.deadline,
                operation.updateHash,
                keccak256(operation.data)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), content));
    }

    /// Carries out `update`, a call of the forwarder's `forward`, and the first of the operations that does what it
    /// promised. Only who could send the update anyway may call this.
    function settle(address forwarder, bytes calldata update, SolverOperation[] calldata operations) external {
        require(!isRunning, Reentered());
        require(isForwarder[forwarder], UnknownForwarder());
        require(IForwarder(forwarder).isAuthorizedSender(msg.sender), BundlerIsNotAuthorizedSender());
        require(bytes4(update) == IForwarder.forward.selector, InvalidSelector());
        isRunning = true;
        (bool done, bytes memory reason) = forwarder.call(update);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
        bytes32 hash = updateHash(forwarder, update);
        uint256 last = type(uint256).max;
        bool isWon = false;
        for (uint256 i = 0; i < operations.length && !isWon; i++) {
            require(operations[i].bid <= last, BidsOutOfOrder());
            last = operations[i].bid;
            isWon = _try(operations[i], hash);
        }
        require(isWon, UserNotFulfilled());
        emit MetacallResult(msg.sender, forwarder, true, 0, 0);
        isRunning = false;
    }

    /// One operation, undone as a whole where it fails. For this contract alone.
    function attempt(SolverOperation calldata operation) external {
        require(msg.sender == address(this), OnlySelf());
        uint256 before = address(this).balance;
        bytes memory data = abi.encodeCall(ISolver.solve, (operation.from, operation.bid, operation.data));
        address solver = operation.solver;
        bool done;
        // What the solver returns is not looked at, so it is not copied either.
        assembly ("memory-safe") {
            done := call(gas(), solver, 0, add(data, 32), mload(data), 0, 0)
        }
        require(done, SolverReverted());
        require(address(this).balance == before + operation.bid, BidNotPaid());
    }

    function _try(SolverOperation calldata operation, bytes32 hash) private returns (bool isWon) {
        bytes32 digest = operationHash(operation);
        uint256 result = _problem(operation, digest, hash);
        bool executed = result == 0;
        if (executed) {
            // Whoever calls may not make a solver fail by sending too little gas along.
            require(gasleft() - gasleft() / 64 > operation.gasLimit + RESERVED_GAS, NotEnoughGas());
            lastBlock[operation.from] = block.number;
            isSpent[digest] = true;
            running = operation.solver;
            try this.attempt{gas: operation.gasLimit}(operation) {
                isWon = true;
            } catch (bytes memory reason) {
                result = bytes4(reason) == BidNotPaid.selector ? BID_NOT_PAID : SOLVER_REVERTED;
            }
            running = address(0);
        }
        emit SolverTxResult(
            operation.solver, operation.from, address(this), address(0), operation.bid, executed, isWon, result
        );
        if (isWon) {
            _allocate(operation.bid);
        }
    }

    /// Why an operation is not even tried; zero where it is.
    function _problem(SolverOperation calldata operation, bytes32 digest, bytes32 hash)
        private
        view
        returns (uint256)
    {
        if (!_isSigned(operation, digest)) return INVALID_SIGNATURE;
        if (operation.updateHash != hash) return INVALID_UPDATE_HASH;
        if (operation.deadline < block.number) return DEADLINE_PASSED;
        if (operation.solver == address(this) || operation.solver.code.length == 0) return INVALID_SOLVER;
        if (operation.gasLimit > MAX_SOLVER_GAS) return INVALID_SOLVER;
        if (lastBlock[operation.from] == block.number || isSpent[digest]) return PER_BLOCK_LIMIT;
        return 0;
    }

    function _isSigned(SolverOperation calldata operation, bytes32 digest) private pure returns (bool) {
        bytes calldata signature = operation.signature;
        if (signature.length != 65) return false;
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > HALF_ORDER) return false;
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), s);
        return signer != address(0) && signer == operation.from;
    }

    /// Splits a bid. What division leaves over, and what the builder does not take, is the protocol's.
    function _allocate(uint256 bid) private {
        Split memory to = split;
        uint256 toAuctioneer = bid * to.auctioneerBps / SCALE;
        uint256 toBuilder = bid * to.builderBps / SCALE;
        if (toBuilder > 0) {
            address builder = block.coinbase;
            bool taken;
            assembly ("memory-safe") {
                taken := call(BUILDER_GAS, builder, toBuilder, 0, 0, 0, 0)
            }
            if (!taken) toBuilder = 0;
        }
        uint256 toProtocol = bid - toAuctioneer - toBuilder;
        _pay(to.auctioneer, toAuctioneer);
        _pay(to.protocol, toProtocol);
        emit OevAllocated(to.auctioneer, block.coinbase, to.protocol, bid, toAuctioneer, toBuilder, toProtocol);
    }

    function _pay(address to, uint256 value) private {
        if (value == 0) return;
        (bool done,) = to.call{value: value}("");
        require(done, NotPaidOut());
    }

    function _setSplit(Split memory split_) private {
        require(split_.auctioneer != address(0) && split_.protocol != address(0), ZeroDestination());
        require(uint256(split_.auctioneerBps) + split_.builderBps <= SCALE, SharesAboveWhole());
        split = split_;
        emit SplitSet(split_.auctioneer, split_.protocol, split_.auctioneerBps, split_.builderBps);
    }
}
