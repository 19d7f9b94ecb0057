// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

// Stand-ins for the network's actors, which are no EVM contracts and cannot be had: the same selectors, events, rules and
// words, as simple as that allows. One epoch is one block. Blobs and Machine are put at the actors' own addresses.

struct KeyValue {
    string key;
    string value;
}

library Text {
    function number(uint256 value) internal pure returns (string memory) {
        if (value == 0) return "0";
        uint256 digits;
        for (uint256 rest = value; rest != 0; rest /= 10) digits++;
        bytes memory text = new bytes(digits);
        for (; value != 0; value /= 10) text[--digits] = bytes1(uint8(48 + (value % 10)));
        return string(text);
    }

    function account(address who) internal pure returns (string memory) {
        bytes memory letters = "0123456789abcdef";
        bytes memory text = new bytes(42);
        text[0] = "0";
        text[1] = "x";
        for (uint256 i = 0; i < 20; i++) {
            uint8 b = uint8(bytes20(who)[i]);
            text[2 + 2 * i] = letters[b >> 4];
            text[3 + 2 * i] = letters[b & 15];
        }
        return string(text);
    }
}

/// Accounts, credit, capacity and blobs.
contract Blobs {
    struct CreditApproval {
        uint256 creditLimit;
        uint256 gasFeeLimit;
        uint64 expiry;
        uint256 creditUsed;
        uint256 gasFeeUsed;
    }
    struct Approval {
        address addr;
        CreditApproval approval;
    }
    struct Account {
        uint64 capacityUsed;
        uint256 creditFree;
        uint256 creditCommitted;
        address creditSponsor;
        uint64 lastDebitEpoch;
        Approval[] approvalsTo;
        Approval[] approvalsFrom;
        uint64 maxTtl;
        uint256 gasAllowance;
    }
    struct Subscription {
        string subscriptionId;
        uint64 expiry;
    }
    struct Blob {
        uint64 size;
        bytes32 metadataHash;
        Subscription[] subscriptions;
        uint8 status;
    }
    struct SubnetStats {
        uint256 balance;
        uint64 capacityFree;
        uint64 capacityUsed;
        uint256 creditSold;
        uint256 creditCommitted;
        uint256 creditDebited;
        uint256 tokenCreditRate;
        uint64 numAccounts;
        uint64 numBlobs;
        uint64 numAdded;
        uint64 bytesAdded;
        uint64 numResolving;
        uint64 bytesResolving;
    }
    struct Balance {
        uint128 free;
        uint128 committed;
        uint64 used;
        uint64 maxTtl;
    }
    struct Stored {
        uint64 size;
        uint8 status; // 0 unknown, then one more than the published status
        address payer;
        uint128 cost;
    }

    event CreditPurchased(address from, uint256 amount);
    event CreditApproved(address from, address to, uint256 creditLimit, uint256 gasFeeLimit, uint256 expiry);
    event BlobAdded(address indexed subscriber, bytes32 hash, uint256 size, uint256 expiry, uint256 bytesUsed);
    event BlobPending(address indexed subscriber, bytes32 hash, bytes32 sourceId);
    event BlobFinalized(address indexed subscriber, bytes32 hash, bool resolved);

    uint64 constant MIN_TTL = 3600;
    uint64 constant DEFAULT_TTL = 86400;
    uint64 constant CAPACITY = 10 * 2 ** 40;

    mapping(address => Balance) balances;
    mapping(address => mapping(address => uint64)) approvedUntil; // 0 none, 1 for ever
    mapping(address => address[]) approvedBy;
    mapping(bytes32 => Stored) blobs;
    uint64 used;
    uint64 capacityLimit; // 0: the default

    function buyCredit(address to) external payable {
        balances[to].free += uint128(msg.value * 1e18);
        emit CreditPurchased(to, msg.value);
    }

    function getAccount(address addr) external view returns (Account memory account) {
        Balance storage balance = balances[addr];
        account.capacityUsed = balance.used;
        account.creditFree = balance.free;
        account.creditCommitted = balance.committed;
        account.maxTtl = maxTtlOf(addr);
        address[] storage to = approvedBy[addr];
        account.approvalsTo = new Approval[](to.length);
        for (uint256 i = 0; i < to.length; i++) account.approvalsTo[i].addr = to[i];
    }

    function approveCredit(address to) external {
        approve(to, 0);
    }

    function approveCredit(address to, address[] calldata, uint256, uint256, uint64 ttl) external {
        approve(to, ttl);
    }

    function approve(address to, uint64 ttl) private {
        if (approvedUntil[msg.sender][to] == 0) approvedBy[msg.sender].push(to);
        approvedUntil[msg.sender][to] = ttl == 0 ? 1 : uint64(block.number) + ttl;
        emit CreditApproved(msg.sender, to, 0, 0, ttl);
    }

    function getBlob(bytes32 hash) external view returns (Blob memory blob) {
        Stored storage stored = blobs[hash];
        blob.size = stored.size;
        // An unknown blob says failed, as the actor does.
        blob.status = stored.status == 0 ? 3 : stored.status - 1;
        if (stored.status != 0) blob.subscriptions = new Subscription[](1);
    }

    function isResolved(bytes32 hash) external view returns (bool) {
        return blobs[hash].status == 3;
    }

    function getStats() external view returns (SubnetStats memory stats) {
        stats.capacityFree = capacityFree();
        stats.capacityUsed = used;
        stats.tokenCreditRate = 1e36;
    }

    function capacityFree() private view returns (uint64) {
        uint64 most = capacityLimit == 0 ? CAPACITY : capacityLimit;
        return most > used ? most - used : 0;
    }

    function maxTtlOf(address who) private view returns (uint64) {
        uint64 own = balances[who].maxTtl;
        return own == 0 ? DEFAULT_TTL : own;
    }

    /// Called by a bucket. Returns the epoch at which the object goes.
    function add(address owner, address origin, bytes32 source, bytes32 hash, uint64 size, uint64 ttl) external returns (uint64) {
        if (origin != owner) {
            uint64 until = approvedUntil[owner][origin];
            if (until == 0 || (until != 1 && until < block.number))
                revert(string.concat("missing delegation from ", Text.account(owner), " to ", Text.account(origin)));
        }
        if (ttl == 0) ttl = maxTtlOf(owner) < DEFAULT_TTL ? maxTtlOf(owner) : DEFAULT_TTL;
        if (ttl < MIN_TTL) revert(string.concat("minimum blob TTL is ", Text.number(MIN_TTL)));
        if (ttl > maxTtlOf(owner))
            revert(string.concat("attempt to add a blob with TTL (", Text.number(ttl), ") that exceeds account's max allowed TTL (", Text.number(maxTtlOf(owner)), ")"));
        Stored storage blob = blobs[hash];
        bool isNew = blob.status == 0 || blob.status == 4;
        if (isNew && size > capacityFree()) revert("subnet has reached storage capacity");
        Balance storage balance = balances[owner];
        uint128 cost = uint128(size) * ttl;
        if (balance.free < cost)
            revert(string.concat("insufficient credit (balance: ", Text.number(balance.free), "; required: ", Text.number(cost), ")"));
        balance.free -= cost;
        balance.committed += cost;
        if (isNew) {
            balance.used += size;
            used += size;
            blobs[hash] = Stored(size, 1, owner, cost);
            emit BlobPending(owner, hash, source);
        }
        emit BlobAdded(owner, hash, size, block.number + ttl, used);
        return uint64(block.number) + ttl;
    }

    // What the network does by itself, or its operator: the emulation calls these.

    function finalize(bytes32[] calldata hashes, uint8 status) external {
        for (uint256 i = 0; i < hashes.length; i++) {
            Stored storage blob = blobs[hashes[i]];
            if (blob.status == 0) continue;
            blob.status = status + 1;
            if (status < 2) continue;
            if (status == 3) {
                balances[blob.payer].free += blob.cost;
                balances[blob.payer].committed -= blob.cost;
                balances[blob.payer].used -= blob.size;
                used -= blob.size;
            }
            emit BlobFinalized(blob.payer, hashes[i], status == 2);
        }
    }

    function plant(bytes32[] calldata hashes, uint64[] calldata sizes) external {
        for (uint256 i = 0; i < hashes.length; i++) blobs[hashes[i]] = Stored(sizes[i], 3, address(0), 0);
    }

    function setAccount(address who, uint128 free, uint64 maxTtl) external {
        balances[who].free = free;
        balances[who].maxTtl = maxTtl;
    }

    function setCapacity(uint64 limit) external {
        capacityLimit = limit;
    }
}

/// Keys to objects, for one owner.
contract Bucket {
    struct ObjectValue {
        bytes32 blobHash;
        bytes32 recoveryHash;
        uint64 size;
        uint64 expiry;
        KeyValue[] metadata;
    }
    struct ObjectState {
        bytes32 blobHash;
        uint64 size;
        uint64 expiry;
        KeyValue[] metadata;
    }
    struct KeyedObject {
        string key;
        ObjectState state;
    }
    struct Query {
        KeyedObject[] objects;
        string[] commonPrefixes;
        string nextKey;
    }
    struct Stored {
        bytes32 blobHash;
        bytes32 recoveryHash;
        uint64 size;
        uint64 expiry;
        uint64 added;
        bytes metadata;
    }

    event ObjectAdded(bytes key, bytes32 blobHash, bytes metadata);
    event ObjectDeleted(bytes key, bytes32 blobHash);
    event ObjectMetadataUpdated(bytes key, bytes metadata);

    Blobs constant BLOBS = Blobs(0xFF00000000000000000000000000000000000042);
    address immutable owner;
    mapping(bytes32 => Stored) objects;
    string[] keys;

    constructor(address owner_) {
        owner = owner_;
    }

    function addObject(bytes32 source, string memory key, bytes32 hash, bytes32 recoveryHash, uint64 size) external {
        put(source, key, hash, recoveryHash, size, 0, new KeyValue[](0), false);
    }

    function addObject(
        bytes32 source,
        string memory key,
        bytes32 hash,
        bytes32 recoveryHash,
        uint64 size,
        uint64 ttl,
        KeyValue[] memory metadata,
        bool overwrite
    ) external {
        put(source, key, hash, recoveryHash, size, ttl, metadata, overwrite);
    }

    function put(
        bytes32 source,
        string memory key,
        bytes32 hash,
        bytes32 recoveryHash,
        uint64 size,
        uint64 ttl,
        KeyValue[] memory metadata,
        bool overwrite
    ) private {
        check(metadata);
        Stored storage object = objects[keccak256(bytes(key))];
        if (object.expiry > block.number && !overwrite) revert("key exists; use overwrite");
        if (object.added == 0) keys.push(key);
        object.expiry = BLOBS.add(owner, msg.sender, source, hash, size, ttl);
        object.blobHash = hash;
        object.recoveryHash = recoveryHash;
        object.size = size;
        object.added += 1;
        object.metadata = abi.encode(metadata);
        emit ObjectAdded(bytes(key), hash, cbor(metadata));
    }

    function check(KeyValue[] memory metadata) private pure {
        if (metadata.length > 20) revert("the maximum metadata entries allowed is 20");
        for (uint256 i = 0; i < metadata.length; i++) {
            if (bytes(metadata[i].key).length > 32) revert("key must be less than or equal to 32 bytes in metadata");
            uint256 length = bytes(metadata[i].value).length;
            if (length == 0 || length > 128) revert("value must be non-empty and less than or equal to 128 bytes in metadata");
        }
    }

    /// A map of texts, RFC 8949.
    function cbor(KeyValue[] memory metadata) private pure returns (bytes memory bytes_) {
        bytes_ = abi.encodePacked(uint8(0xa0 + metadata.length));
        for (uint256 i = 0; i < metadata.length; i++)
            bytes_ = bytes.concat(bytes_, text(bytes(metadata[i].key)), text(bytes(metadata[i].value)));
    }

    function text(bytes memory value) private pure returns (bytes memory) {
        if (value.length < 24) return abi.encodePacked(uint8(0x60 + value.length), value);
        return abi.encodePacked(uint8(0x78), uint8(value.length), value);
    }

    function deleteObject(string memory key) external {
        Stored storage object = objects[keccak256(bytes(key))];
        if (object.expiry <= block.number) revert("key not found");
        object.expiry = 0;
        emit ObjectDeleted(bytes(key), object.blobHash);
    }

    function updateObjectMetadata(string memory key, KeyValue[] memory metadata) external {
        check(metadata);
        objects[keccak256(bytes(key))].metadata = abi.encode(metadata);
        emit ObjectMetadataUpdated(bytes(key), cbor(metadata));
    }

    function getObject(string memory key) external view returns (ObjectValue memory value) {
        Stored storage object = objects[keccak256(bytes(key))];
        if (object.expiry <= block.number || !BLOBS.isResolved(object.blobHash)) return value;
        KeyValue[] memory metadata = abi.decode(object.metadata, (KeyValue[]));
        value = ObjectValue(object.blobHash, object.recoveryHash, object.size, object.expiry, metadata);
    }

    /// Of the emulation: what lies under a key, resolved or not, and how often it was put there.
    function inspect(string memory key) external view returns (Stored memory) {
        return objects[keccak256(bytes(key))];
    }

    /// Of the emulation: objects that are there, resolved, without anybody's transaction for each.
    function plant(string[] memory newKeys, bytes32[] memory hashes, uint64[] memory sizes, KeyValue[][] memory metadata) external {
        for (uint256 i = 0; i < newKeys.length; i++) {
            objects[keccak256(bytes(newKeys[i]))] =
                Stored(hashes[i], hashes[i], sizes[i], uint64(block.number) + 86400, 1, abi.encode(metadata[i]));
            keys.push(newKeys[i]);
        }
        BLOBS.plant(hashes, sizes);
    }

    function keyCount() external view returns (uint256) {
        return keys.length;
    }

    function keyAt(uint256 index) external view returns (string memory) {
        return keys[index];
    }

    function queryObjects(string memory prefix, string memory, string memory, uint64 limit) external view returns (Query memory query) {
        uint256 most = limit == 0 || limit > 1000 ? 1000 : limit;
        KeyedObject[] memory found = new KeyedObject[](most);
        uint256 count;
        for (uint256 i = 0; i < keys.length && count < most; i++) {
            Stored storage object = objects[keccak256(bytes(keys[i]))];
            if (object.expiry <= block.number || !startsWith(bytes(keys[i]), bytes(prefix))) continue;
            KeyValue[] memory metadata = abi.decode(object.metadata, (KeyValue[]));
            found[count++] = KeyedObject(keys[i], ObjectState(object.blobHash, object.size, object.expiry, metadata));
        }
        query.objects = new KeyedObject[](count);
        for (uint256 i = 0; i < count; i++) query.objects[i] = found[i];
    }

    function startsWith(bytes memory value, bytes memory prefix) private pure returns (bool) {
        if (value.length < prefix.length) return false;
        for (uint256 i = 0; i < prefix.length; i++) if (value[i] != prefix[i]) return false;
        return true;
    }
}

/// Buckets and whose they are.
contract Machine {
    struct Entry {
        uint8 kind;
        address addr;
        KeyValue[] metadata;
    }

    event MachineCreated(uint8 indexed kind, address indexed owner, bytes metadata);
    event MachineInitialized(uint8 indexed kind, address machineAddress);

    mapping(address => address[]) owned;
    mapping(address => bytes) described;

    function createBucket(address owner, KeyValue[] memory metadata) external returns (address) {
        address bucket = address(new Bucket(owner));
        owned[owner].push(bucket);
        described[bucket] = abi.encode(metadata);
        emit MachineCreated(0, owner, "");
        emit MachineInitialized(0, bucket);
        return bucket;
    }

    function listBuckets(address owner) external view returns (Entry[] memory entries) {
        address[] storage buckets = owned[owner];
        entries = new Entry[](buckets.length);
        for (uint256 i = 0; i < buckets.length; i++)
            entries[i] = Entry(0, buckets[i], abi.decode(described[buckets[i]], (KeyValue[])));
    }
}
