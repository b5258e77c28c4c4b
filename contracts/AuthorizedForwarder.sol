// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

import {Owned} from "./Owned.sol";

/// The one address by which a node operator is known to aggregators, whatever keys he sends with.
contract AuthorizedForwarder is Owned {
    address[] private senders;
    mapping(address => bool) private authorized;

    event AuthorizedSendersChanged(address[] senders, address changedBy);

    error NotAuthorizedSender();
    error NoContract();
    error LengthMismatch();
    error NoSenders();

    modifier onlyAuthorized() {
        require(authorized[msg.sender], NotAuthorizedSender());
        _;
    }

    /// Names everybody who may send; whoever is not named may not any more.
    function setAuthorizedSenders(address[] calldata next) external onlyOwner {
        require(next.length > 0, NoSenders());
        for (uint256 i = 0; i < senders.length; i++) {
            authorized[senders[i]] = false;
        }
        for (uint256 i = 0; i < next.length; i++) {
            authorized[next[i]] = true;
        }
        senders = next;
        emit AuthorizedSendersChanged(next, msg.sender);
    }

    function isAuthorizedSender(address sender) external view returns (bool) {
        return authorized[sender];
    }

    function getAuthorizedSenders() external view returns (address[] memory) {
        return senders;
    }

    /// Calls a contract in the operator's name; what it reverts with is handed on.
    function forward(address to, bytes calldata data) external onlyAuthorized {
        _forward(to, data);
    }

    function multiForward(address[] calldata tos, bytes[] calldata datas) external onlyAuthorized {
        require(tos.length == datas.length, LengthMismatch());
        for (uint256 i = 0; i < tos.length; i++) {
            _forward(tos[i], datas[i]);
        }
    }

    function ownerForward(address to, bytes calldata data) external onlyOwner {
        _forward(to, data);
    }

    function _forward(address to, bytes calldata data) private {
        require(to.code.length > 0, NoContract());
        (bool done, bytes memory reason) = to.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
