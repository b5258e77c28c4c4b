// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

/// Where recaptured value accrues in the native token, and from where it is handed out, at most once a week, to the
/// protocol and to the oracle network.
///
/// Nobody owns it: the shares and both destinations are fixed when it is deployed, anybody may distribute, and what was
/// distributed stays on record.
contract SvrSafe {
    uint256 public constant SCALE = 10_000;
    uint256 public constant PERIOD = 7 days;

    struct Week {
        uint64 at;
        uint256 toProtocol;
        uint256 toNetwork;
    }

    address public immutable protocol;
    address public immutable network;
    /// The network's share in basis points; what division leaves over is the protocol's.
    uint256 public immutable networkBps;

    /// When the first or the next distribution may be at the earliest, in seconds since 1970.
    uint256 public nextAt;
    /// What a destination refused to take and may have later, in wei.
    mapping(address => uint256) public owed;
    uint256 public totalOwed;
    Week[] private weeks_;

    event SafeReceived(address indexed sender, uint256 value);
    event Distributed(uint256 indexed week, uint256 total, uint256 toProtocol, uint256 toNetwork);
    event Paid(address indexed destination, uint256 value);
    event Refused(address indexed destination, uint256 value);

    error ZeroDestination();
    error ShareAboveWhole();
    error TooEarly();
    error NothingToDistribute();
    error NothingOwed();
    error StillRefused();

    constructor(address protocol_, address network_, uint256 networkBps_) {
        require(protocol_ != address(0) && network_ != address(0), ZeroDestination());
        require(networkBps_ <= SCALE, ShareAboveWhole());
        protocol = protocol_;
        network = network_;
        networkBps = networkBps_;
        nextAt = block.timestamp + PERIOD;
    }

    receive() external payable {
        emit SafeReceived(msg.sender, msg.value);
    }

    /// Hands out everything that is here, and starts the next week.
    function distribute() external {
        require(block.timestamp >= nextAt, TooEarly());
        uint256 total = address(this).balance - totalOwed;
        require(total > 0, NothingToDistribute());
        uint256 toNetwork = total * networkBps / SCALE;
        uint256 toProtocol = total - toNetwork;
        // Before anything is sent: whoever is called back finds this week closed.
        nextAt = block.timestamp + PERIOD;
        emit Distributed(weeks_.length, total, toProtocol, toNetwork);
        weeks_.push(Week(uint64(block.timestamp), toProtocol, toNetwork));
        owed[protocol] += toProtocol;
        owed[network] += toNetwork;
        totalOwed += total;
        _pay(protocol);
        _pay(network);
    }

    /// Sends a destination what it refused before.
    function claim(address destination) external {
        require(owed[destination] > 0, NothingOwed());
        require(_pay(destination), StillRefused());
    }

    /// How many weeks were distributed.
    function weekCount() external view returns (uint256) {
        return weeks_.length;
    }

    function week(uint256 index) external view returns (Week memory) {
        return weeks_[index];
    }

    /// Sends all that is owed. A destination that takes nothing keeps its claim and nobody else waiting.
    function _pay(address destination) private returns (bool done) {
        uint256 value = owed[destination];
        if (value == 0) {
            return true;
        }
        owed[destination] = 0;
        totalOwed -= value;
        (done,) = destination.call{value: value}("");
        if (done) {
            emit Paid(destination, value);
        } else {
            owed[destination] += value;
            totalOwed += value;
            emit Refused(destination, value);
        }
    }
}
