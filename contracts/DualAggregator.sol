// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

import {Owned} from "./Owned.sol";

/// Rounds of one price that arrive by two ways, a public one and one through an auction, and two views of them: whoever
/// asks through the secondary proxy sees a public round only when the cutoff is over, and an auctioned one at once;
/// everybody else sees a public round at once, and an auctioned one from the next block's time on.
///
/// A report carries the answers of several observers; its middle one is the round's answer. It makes a new round only
/// with the signatures of `f + 1` observers.
contract DualAggregator is Owned {
    uint256 private constant MAX_ORACLES = 31;
    /// A call's fixed part: selector, context, four places, the signatures' parities, and the lengths of what varies.
    uint256 private constant FIXED_CALLDATA = 4 + 3 * 32 + 4 * 32 + 3 * 32;
    /// A report's fixed part: moment, observers, place and length of the observations, price of a fee.
    uint256 private constant FIXED_REPORT = 5 * 32;

    struct Round {
        int192 answer;
        uint32 observedAt;
        uint32 recordedAt;
    }

    struct Latest {
        uint8 f;
        uint40 epochAndRound;
        uint32 round;
        uint32 secondaryRound;
        /// Whether the last transmission that was more than a repetition came by the secondary way.
        bool isSecondary;
    }

    struct Member {
        bool active;
        uint8 index;
    }

    struct Report {
        uint32 observedAt;
        bytes32 observers;
        int192[] observations;
        int192 juelsPerFeeCoin;
    }

    address public immutable secondaryProxy;
    int192 public immutable minAnswer;
    int192 public immutable maxAnswer;
    uint8 public immutable decimals;
    string public description;

    uint32 public cutoffTime;
    uint32 public maxSyncIterations;

    Latest private latest;
    mapping(uint32 => Round) private rounds;

    bytes32 private configDigest;
    uint32 private configCount;
    uint32 private configBlock;
    address[] private signerList;
    address[] private transmitterList;
    mapping(address => Member) private signers;
    mapping(address => Member) private transmitters;

    event ConfigSet(
        uint32 previousConfigBlockNumber,
        bytes32 configDigest,
        uint64 configCount,
        address[] signers,
        address[] transmitters,
        uint8 f,
        bytes onchainConfig,
        uint64 offchainConfigVersion,
        bytes offchainConfig
    );
    event CutoffTimeSet(uint32 cutoffTime);
    event MaxSyncIterationsSet(uint32 maxSyncIterations);
    event NewTransmission(
        uint32 indexed aggregatorRoundId,
        int192 answer,
        address transmitter,
        uint32 observationsTimestamp,
        int192[] observations,
        bytes observers,
        int192 juelsPerFeeCoin,
        bytes32 configDigest,
        uint40 epochAndRound
    );
    event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt);
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);
    event SecondaryRoundIdUpdated(uint32 indexed secondaryRoundId);
    event PrimaryFeedUnlocked(uint32 indexed primaryRoundId);

    error UnauthorizedTransmitter();
    error ConfigDigestMismatch();
    error CalldataLengthMismatch();
    error WrongNumberOfSignatures();
    error SignaturesOutOfRegistration();
    error ReportLengthMismatch();
    error MaxSyncIterations();
    error StaleReport();
    error SignatureError();
    error DuplicateSigner();
    error NumObservationsOutOfBounds();
    error TooFewValuesToTrustMedian();
    error MedianIsOutOfMinMaxRange();
    error TooManyOracles();
    error OracleLengthMismatch();
    error FaultyOracleFTooHigh();
    error FMustBePositive();
    error InvalidOnChainConfig();
    error RepeatedSignerAddress();
    error RepeatedTransmitterAddress();
    error MinAboveMax();
    error NoSyncIterations();
    error OnlyCallableByEOA();

    constructor(
        int192 minAnswer_,
        int192 maxAnswer_,
        uint8 decimals_,
        string memory description_,
        address secondaryProxy_,
        uint32 cutoffTime_,
        uint32 maxSyncIterations_
    ) {
        require(minAnswer_ <= maxAnswer_, MinAboveMax());
        minAnswer = minAnswer_;
        maxAnswer = maxAnswer_;
        decimals = decimals_;
        description = description_;
        secondaryProxy = secondaryProxy_;
        _setCutoffTime(cutoffTime_);
        _setMaxSyncIterations(maxSyncIterations_);
    }

    // What the owner sets.

    /// Holds for rounds that stand already, so the secondary view may go back to an older round, or jump ahead.
    function setCutoffTime(uint32 seconds_) external onlyOwner {
        _setCutoffTime(seconds_);
    }

    /// How many rounds both loops look back at most.
    function setMaxSyncIterations(uint32 iterations) external onlyOwner {
        _setMaxSyncIterations(iterations);
    }

    /// Names who signs and who transmits. Reports for the configuration before are refused from here on.
    function setConfig(
        address[] calldata signers_,
        address[] calldata transmitters_,
        uint8 f,
        bytes calldata onchainConfig,
        uint64 offchainConfigVersion,
        bytes calldata offchainConfig
    ) external onlyOwner {
        require(signers_.length <= MAX_ORACLES, TooManyOracles());
        require(signers_.length == transmitters_.length, OracleLengthMismatch());
        require(3 * uint256(f) < signers_.length, FaultyOracleFTooHigh());
        require(f > 0, FMustBePositive());
        bytes memory expected = abi.encodePacked(uint8(1), minAnswer, maxAnswer);
        require(keccak256(onchainConfig) == keccak256(expected), InvalidOnChainConfig());
        _replaceMembers(signers_, transmitters_);
        latest.f = f;
        latest.epochAndRound = 0;
        configCount += 1;
        bytes memory all = abi.encode(
            block.chainid,
            address(this),
            uint64(configCount),
            signers_,
            transmitters_,
            f,
            onchainConfig,
            offchainConfigVersion,
            offchainConfig
        );
        // The first two bytes say by which rule the rest was made.
        configDigest = bytes32((uint256(keccak256(all)) & (type(uint256).max >> 16)) | (uint256(1) << 240));
        emit ConfigSet(
            configBlock,
            configDigest,
            configCount,
            signers_,
            transmitters_,
            f,
            onchainConfig,
            offchainConfigVersion,
            offchainConfig
        );
        configBlock = uint32(block.number);
    }

    // Writing.

    /// A report by the public way.
    function transmit(
        bytes32[3] calldata context,
        bytes calldata report,
        bytes32[] calldata rs,
        bytes32[] calldata ss,
        bytes32 rawVs
    ) external {
        _transmit(context, report, rs, ss, rawVs, false);
    }

    /// The same report by the way through an auction.
    function transmitSecondary(
        bytes32[3] calldata context,
        bytes calldata report,
        bytes32[] calldata rs,
        bytes32[] calldata ss,
        bytes32 rawVs
    ) external {
        _transmit(context, report, rs, ss, rawVs, true);
    }

    function _transmit(
        bytes32[3] calldata context,
        bytes calldata raw,
        bytes32[] calldata rs,
        bytes32[] calldata ss,
        bytes32 rawVs,
        bool isSecondary
    ) private {
        require(transmitters[msg.sender].active, UnauthorizedTransmitter());
        require(context[0] == configDigest, ConfigDigestMismatch());
        uint256 length = FIXED_CALLDATA + raw.length + 32 * (rs.length + ss.length);
        require(msg.data.length == length, CalldataLengthMismatch());
        require(rs.length == uint256(latest.f) + 1, WrongNumberOfSignatures());
        require(rs.length == ss.length, SignaturesOutOfRegistration());
        Report memory report = _decode(raw);
        if (isSecondary) {
            uint32 known = _find(report);
            if (known != 0) {
                // The round was signed for when it was made, so it needs no signatures to be exposed.
                require(known > latest.secondaryRound, StaleReport());
                latest.secondaryRound = known;
                emit SecondaryRoundIdUpdated(known);
                return;
            }
        }
        uint40 epochAndRound = uint40(uint256(context[1]));
        if (epochAndRound == latest.epochAndRound && latest.isSecondary) {
            emit PrimaryFeedUnlocked(latest.round);
        } else {
            require(epochAndRound > latest.epochAndRound, StaleReport());
            _verify(keccak256(abi.encode(keccak256(raw), context)), rs, ss, rawVs);
            _record(report, epochAndRound, isSecondary);
        }
        latest.isSecondary = isSecondary;
    }

    function _decode(bytes calldata raw) private pure returns (Report memory report) {
        (report.observedAt, report.observers, report.observations, report.juelsPerFeeCoin) =
            abi.decode(raw, (uint32, bytes32, int192[], int192));
        require(raw.length == FIXED_REPORT + 32 * report.observations.length, ReportLengthMismatch());
    }

    /// The round that a report made already, looked for among the youngest; zero where there is none.
    function _find(Report memory report) private view returns (uint32) {
        uint32 last = latest.round;
        for (uint32 id = last; id > 0; id--) {
            require(last - id != maxSyncIterations, MaxSyncIterations());
            Round storage round = rounds[id];
            if (round.observedAt < report.observedAt) {
                return 0;
            }
            // Without observations there is no middle one: the access panics.
            int192 answer = _median(report.observations);
            if (round.observedAt == report.observedAt && round.answer == answer) {
                return id;
            }
        }
        return 0;
    }

    /// The middle observation; of an even number the upper one. Observers send them sorted.
    function _median(int192[] memory observations) private pure returns (int192) {
        return observations[observations.length / 2];
    }

    function _verify(bytes32 hash, bytes32[] calldata rs, bytes32[] calldata ss, bytes32 rawVs) private view {
        uint256 seen = 0;
        for (uint256 i = 0; i < rs.length; i++) {
            address signer = ecrecover(hash, uint8(rawVs[i]) + 27, rs[i], ss[i]);
            Member memory member = signers[signer];
            require(member.active, SignatureError());
            uint256 bit = 1 << member.index;
            require(seen & bit == 0, DuplicateSigner());
            seen |= bit;
        }
    }

    function _record(Report memory report, uint40 epochAndRound, bool isSecondary) private {
        uint256 count = report.observations.length;
        require(count <= MAX_ORACLES, NumObservationsOutOfBounds());
        require(count > latest.f, TooFewValuesToTrustMedian());
        int192 answer = _median(report.observations);
        require(minAnswer <= answer && answer <= maxAnswer, MedianIsOutOfMinMaxRange());
        uint32 id = latest.round + 1;
        latest.round = id;
        latest.epochAndRound = epochAndRound;
        rounds[id] = Round(answer, report.observedAt, uint32(block.timestamp));
        if (isSecondary) {
            latest.secondaryRound = id;
            emit SecondaryRoundIdUpdated(id);
        }
        bytes memory observers = new bytes(count);
        for (uint256 i = 0; i < count; i++) {
            observers[i] = report.observers[i];
        }
        emit NewTransmission(
            id,
            answer,
            msg.sender,
            report.observedAt,
            report.observations,
            observers,
            report.juelsPerFeeCoin,
            configDigest,
            epochAndRound
        );
        emit NewRound(id, address(0), report.observedAt);
        emit AnswerUpdated(answer, id, block.timestamp);
    }

    // Reading: who asks decides what is seen.

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return _data(_visible());
    }

    function latestAnswer() external view returns (int256) {
        return rounds[_visible()].answer;
    }

    function latestTimestamp() external view returns (uint256) {
        return rounds[_visible()].recordedAt;
    }

    function latestRound() external view returns (uint256) {
        return _visible();
    }

    /// Nothing but zeros where whoever asks does not see the round yet.
    function getRoundData(uint80 id) external view returns (uint80, int256, uint256, uint256, uint80) {
        if (id > _visible()) {
            return (0, 0, 0, 0, 0);
        }
        return _data(uint32(id));
    }

    function getAnswer(uint256 id) external view returns (int256) {
        return id > _visible() ? int256(0) : rounds[uint32(id)].answer;
    }

    function getTimestamp(uint256 id) external view returns (uint256) {
        return id > _visible() ? 0 : rounds[uint32(id)].recordedAt;
    }

    /// What is known of the last round whatever the view, for people alone: no contract can act on it.
    function latestTransmissionDetails() external view returns (bytes32, uint32, uint8, int192, uint64) {
        require(msg.sender == tx.origin, OnlyCallableByEOA());
        Round storage round = rounds[latest.round];
        uint40 epochAndRound = latest.epochAndRound;
        return (configDigest, uint32(epochAndRound >> 8), uint8(epochAndRound), round.answer, round.recordedAt);
    }

    function latestConfigDetails() external view returns (uint32, uint32, bytes32) {
        return (configCount, configBlock, configDigest);
    }

    function getTransmitters() external view returns (address[] memory) {
        return transmitterList;
    }

    function version() external pure returns (uint256) {
        return 6;
    }

    function typeAndVersion() external pure returns (string memory) {
        return "Tidegate DualAggregator 1.0.0";
    }

    function _data(uint32 id) private view returns (uint80, int256, uint256, uint256, uint80) {
        Round storage round = rounds[id];
        return (id, round.answer, round.observedAt, round.recordedAt, id);
    }

    /// The youngest round that whoever asks sees.
    function _visible() private view returns (uint32) {
        uint32 last = latest.round;
        uint32 secondary = latest.secondaryRound;
        if (msg.sender != secondaryProxy) {
            bool isHidden =
                last == secondary && latest.isSecondary && rounds[last].recordedAt == uint32(block.timestamp);
            return isHidden ? last - 1 : last;
        }
        if (!_isOverdue(secondary)) {
            return secondary;
        }
        for (uint32 id = last; id > secondary && last - id != maxSyncIterations; id--) {
            if (_isOverdue(id)) {
                return id;
            }
        }
        return secondary;
    }

    /// Whether a round's cutoff is over: the moment itself still belongs to it.
    function _isOverdue(uint32 id) private view returns (bool) {
        return uint256(rounds[id].recordedAt) + cutoffTime < block.timestamp;
    }

    function _setCutoffTime(uint32 seconds_) private {
        cutoffTime = seconds_;
        emit CutoffTimeSet(seconds_);
    }

    /// With none the secondary view would never go on to a public round, and no secondary report would be taken.
    function _setMaxSyncIterations(uint32 iterations) private {
        require(iterations > 0, NoSyncIterations());
        maxSyncIterations = iterations;
        emit MaxSyncIterationsSet(iterations);
    }

    function _replaceMembers(address[] calldata signers_, address[] calldata transmitters_) private {
        for (uint256 i = 0; i < signerList.length; i++) {
            delete signers[signerList[i]];
            delete transmitters[transmitterList[i]];
        }
        for (uint256 i = 0; i < signers_.length; i++) {
            // Whoever is recovered from a false signature is nobody, who must never be a member.
            require(signers_[i] != address(0) && !signers[signers_[i]].active, RepeatedSignerAddress());
            require(!transmitters[transmitters_[i]].active, RepeatedTransmitterAddress());
            signers[signers_[i]] = Member(true, uint8(i));
            transmitters[transmitters_[i]] = Member(true, uint8(i));
        }
        signerList = signers_;
        transmitterList = transmitters_;
    }
}
