// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.27;

/// One owner, who hands over in two steps: whoever is named has to accept.
abstract contract Owned {
    address public owner;
    address public pendingOwner;

    event OwnershipTransferRequested(address indexed from, address indexed to);
    event OwnershipTransferred(address indexed from, address indexed to);

    error OnlyOwner();
    error OnlyPendingOwner();

    constructor() {
        owner = msg.sender;
    }

    modifier onlyOwner() {
        require(msg.sender == owner, OnlyOwner());
        _;
    }

    function transferOwnership(address to) external onlyOwner {
        pendingOwner = to;
        emit OwnershipTransferRequested(owner, to);
    }

    function acceptOwnership() external {
        require(msg.sender == pendingOwner, OnlyPendingOwner());
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }
}
