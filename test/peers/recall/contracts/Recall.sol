// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

// Stand-ins for the network's actors, which are no EVM contracts and cannot be had: the same selectors, events, rules and
// words, as simple as that allows. One epoch is one block. Blobs and Machine are put at the actors' own addresses. Slots are
// few: each is hashed anew into the state's root with every block, and that is what the stand-in chain's speed comes down to.

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

/// Metadata as the actor keeps it: a map of texts, RFC 8949.
library Cbor {
    /// The network's limits.
    function check(KeyValue[] memory metadata) internal pure {
        if (metadata.length > 20) revert("the maximum metadata entries allowed is 20");
        for (uint256 i = 0; i < metadata.length; i++) {
            if (bytes(metadata[i].key).length > 32) revert("key must be less than or equal to 32 bytes in metadata");
            uint256 length = bytes(metadata[i].value).length;
            if (length == 0 || length > 128) revert("value must be non-empty and less than or equal to 128 bytes in metadata");
        }
    }

    function encode(KeyValue[] memory metadata) internal pure returns (bytes memory encoded) {
        encoded = abi.encodePacked(uint8(0xa0 + metadata.length));
        for (uint256 i = 0; i < metadata.length; i++)
            encoded = bytes.concat(encoded, text(bytes(metadata[i].key)), text(bytes(metadata[i].value)));
    }

    function text(bytes memory value) private pure returns (bytes memory) {
        if (value.length < 24) return abi.encodePacked(uint8(0x60 + value.length), value);
        return abi.encodePacked(uint8(0x78), uint8(value.length), value);
    }

    function decode(bytes memory encoded) internal pure returns (KeyValue[] memory metadata) {
        metadata = new KeyValue[](encoded.length == 0 ? 0 : uint8(encoded[0]) - 0xa0);
        uint256 offset = 1;
        for (uint256 i = 0; i < metadata.length; i++) {
            (metadata[i].key, offset) = textAt(encoded, offset);
            (metadata[i].value, offset) = textAt(encoded, offset);
        }
    }

    function textAt(bytes memory encoded, uint256 offset) private pure returns (string memory, uint256) {
        uint256 length = uint8(encoded[offset]) - 0x60;
        offset++;
        if (length == 24) length = uint8(encoded[offset++]);
        bytes memory value = new bytes(length);
        for (uint256 i = 0; i < length; i++) value[i] = encoded[offset + i];
        return (string(value), offset + length);
    }

    function merge(KeyValue[] memory old, KeyValue[] memory changes) internal pure returns (KeyValue[] memory merged) {
        merged = new KeyValue[](old.length + changes.length);
        uint256 count;
        for (uint256 i = 0; i < old.length; i++) if (!has(changes, old[i].key)) merged[count++] = old[i];
        for (uint256 i = 0; i < changes.length; i++) if (bytes(changes[i].value).length > 0) merged[count++] = changes[i];
        assembly {
            mstore(merged, count)
        }
        check(merged);
    }

    function has(KeyValue[] memory metadata, string memory key) private pure returns (bool) {
        for (uint256 i = 0; i < metadata.length; i++)
            if (keccak256(bytes(metadata[i].key)) == keccak256(bytes(key))) return true;
        return false;
    }
}

/// What a bucket says of an object that is put, and of the one that lay there.
struct Put {
    address owner;
    address origin;
    bytes32 source;
    bytes32 hash;
    bytes32 recoveryHash;
    uint64 size;
    uint64 ttl;
    bytes32 oldHash;
    uint64 oldSize;
    uint64 oldExpiry;
    uint64 oldTtl;
    uint8 oldRound;
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
        uint64 maxTtl; // 0: the default
        uint64 lastDebit;
        bool known;
        address sponsor;
    }
    struct Stored {
        uint64 size;
        uint8 status; // 0 unknown, then one more than the published status
        uint8 round; // counts its failures: what was paid for an earlier round has been given back
        address payer;
        uint128 cost; // of the payer's, given back if it fails
        uint64 references;
        uint64 expiry; // the latest
        bytes32 recoveryHash;
    }
    struct Pledge {
        address payer;
        uint128 cost;
    }
    struct Totals {
        uint64 used;
        uint64 capacityLimit; // 0: the default
        uint64 accounts;
        uint64 blobs;
    }
    struct Unresolved {
        uint64 added;
        uint64 bytesAdded;
        uint64 resolving;
        uint64 bytesResolving;
    }

    event CreditPurchased(address from, uint256 amount);
    event CreditApproved(address from, address to, uint256 creditLimit, uint256 gasFeeLimit, uint256 expiry);
    event CreditRevoked(address from, address to);
    event BlobAdded(address indexed subscriber, bytes32 hash, uint256 size, uint256 expiry, uint256 bytesUsed);
    event BlobPending(address indexed subscriber, bytes32 hash, bytes32 sourceId);
    event BlobFinalized(address indexed subscriber, bytes32 hash, bool resolved);

    uint64 constant MIN_TTL = 3600;
    uint64 constant DEFAULT_TTL = 86400;
    uint64 constant CAPACITY = 10 * 2 ** 40;
    uint256 constant TOKEN_CREDIT_RATE = 1e36; // for a whole token
    uint8 constant ADDED = 1;
    uint8 constant PENDING = 2;
    uint8 constant RESOLVED = 3;
    uint8 constant FAILED = 4;

    mapping(address => Balance) balances;
    mapping(address => mapping(address => CreditApproval)) grants;
    mapping(address => mapping(address => bool)) granted;
    mapping(address => address[]) grantees;
    mapping(address => address[]) grantors;
    mapping(bytes32 => Stored) blobs;
    mapping(bytes32 => Pledge[]) pledges; // of payers beside the first, until it is resolved
    Totals totals;
    Unresolved unresolved;
    uint128 committed;
    uint128 debited;
    uint256 sold;

    function buyCredit(address to) external payable {
        uint256 credits = (msg.value * TOKEN_CREDIT_RATE) / 1e18;
        if (credits > type(uint128).max - accountOf(to).free) revert("credit overflow");
        balances[to].free += uint128(credits);
        sold += credits;
        emit CreditPurchased(to, msg.value);
    }

    function accountOf(address who) private returns (Balance storage balance) {
        balance = balances[who];
        if (balance.known) return balance;
        balance.known = true;
        balance.lastDebit = uint64(block.number);
        totals.accounts++;
    }

    function getAccount(address addr) external view returns (Account memory account) {
        Balance storage balance = balances[addr];
        account.capacityUsed = balance.used;
        account.creditFree = balance.free;
        account.creditCommitted = balance.committed;
        account.creditSponsor = balance.sponsor;
        account.lastDebitEpoch = balance.lastDebit;
        account.maxTtl = maxTtlOf(addr);
        address[] storage to = grantees[addr];
        account.approvalsTo = new Approval[](to.length);
        for (uint256 i = 0; i < to.length; i++) account.approvalsTo[i] = Approval(to[i], grants[addr][to[i]]);
        address[] storage from = grantors[addr];
        account.approvalsFrom = new Approval[](from.length);
        for (uint256 i = 0; i < from.length; i++) account.approvalsFrom[i] = Approval(from[i], grants[from[i]][addr]);
    }

    function setAccountSponsor(address sponsor) external {
        accountOf(msg.sender).sponsor = sponsor;
    }

    function approveCredit(address to) external {
        approve(to, 0, 0, 0);
    }

    /// The list of callers is of no effect, as it is on the network since it has facades.
    function approveCredit(address to, address[] calldata, uint256 creditLimit, uint256 gasFeeLimit, uint64 ttl) external {
        approve(to, creditLimit, gasFeeLimit, ttl);
    }

    /// Nothing is no limit.
    function approve(address to, uint256 creditLimit, uint256 gasFeeLimit, uint64 ttl) private {
        accountOf(msg.sender);
        accountOf(to);
        if (!granted[msg.sender][to]) {
            grantees[msg.sender].push(to);
            grantors[to].push(msg.sender);
            granted[msg.sender][to] = true;
        }
        CreditApproval storage grant = grants[msg.sender][to];
        grant.creditLimit = creditLimit;
        grant.gasFeeLimit = gasFeeLimit;
        grant.expiry = ttl == 0 ? 0 : uint64(block.number) + ttl;
        emit CreditApproved(msg.sender, to, creditLimit, gasFeeLimit, grant.expiry);
    }

    function revokeCredit(address to) external {
        if (!granted[msg.sender][to]) revert(missing(msg.sender, to));
        delete granted[msg.sender][to];
        delete grants[msg.sender][to];
        remove(grantees[msg.sender], to);
        remove(grantors[to], msg.sender);
        emit CreditRevoked(msg.sender, to);
    }

    function remove(address[] storage list, address which) private {
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i] != which) continue;
            list[i] = list[list.length - 1];
            list.pop();
            return;
        }
    }

    function missing(address from, address to) private pure returns (string memory) {
        return string.concat("missing delegation from ", Text.account(from), " to ", Text.account(to));
    }

    function getBlob(bytes32 hash) external view returns (Blob memory blob) {
        Stored storage stored = blobs[hash];
        // An unknown blob says failed, as the actor does.
        blob.status = stored.status == 0 ? FAILED - 1 : stored.status - 1;
        if (stored.status == 0) return blob;
        blob.size = stored.size;
        blob.metadataHash = stored.recoveryHash;
        blob.subscriptions = new Subscription[](stored.references == 0 ? 0 : 1);
        if (stored.references > 0) blob.subscriptions[0].expiry = stored.expiry;
    }

    function resolved(bytes32 hash) external view returns (bool, bytes32 recoveryHash) {
        Stored storage stored = blobs[hash];
        return (stored.status == RESOLVED, stored.recoveryHash);
    }

    function getStats() external view returns (SubnetStats memory stats) {
        stats.balance = address(this).balance;
        stats.capacityFree = capacityFree();
        stats.capacityUsed = totals.used;
        stats.creditSold = sold;
        stats.creditCommitted = committed;
        stats.creditDebited = debited;
        stats.tokenCreditRate = TOKEN_CREDIT_RATE;
        stats.numAccounts = totals.accounts;
        stats.numBlobs = totals.blobs;
        stats.numAdded = unresolved.added;
        stats.bytesAdded = unresolved.bytesAdded;
        stats.numResolving = unresolved.resolving;
        stats.bytesResolving = unresolved.bytesResolving;
    }

    function capacityFree() private view returns (uint64) {
        uint64 most = totals.capacityLimit == 0 ? CAPACITY : totals.capacityLimit;
        return most > totals.used ? most - totals.used : 0;
    }

    function maxTtlOf(address who) private view returns (uint64) {
        uint64 own = balances[who].maxTtl;
        return own == 0 ? DEFAULT_TTL : own;
    }

    /// Called by a bucket, whose object this is now. Returns the epoch at which it goes, how long that is, and the blob's round.
    function add(Put memory put) external returns (uint64, uint64, uint8) {
        uint64 maxTtl = maxTtlOf(put.owner);
        if (put.ttl == 0) put.ttl = maxTtl < DEFAULT_TTL ? maxTtl : DEFAULT_TTL;
        if (put.ttl < MIN_TTL) revert(string.concat("minimum blob TTL is ", Text.number(MIN_TTL)));
        if (put.ttl > maxTtl)
            revert(string.concat("attempt to add a blob with TTL (", Text.number(put.ttl), ") that exceeds account's max allowed TTL (", Text.number(maxTtl), ")"));
        uint128 cost = uint128(put.size) * put.ttl;
        if (put.origin != put.owner) spend(put.owner, put.origin, cost);
        bool isRenewal = isPaid(put.oldHash, put.oldRound) && put.oldExpiry > 0;
        // What is left of the old one pays for the new one.
        if (isRenewal) unpledge(put.owner, put.oldHash, uint128(put.oldSize) * put.oldTtl, left(put.oldSize, put.oldExpiry));
        commit(put.owner, cost);
        uint8 round = refer(put, cost);
        if (isRenewal) unrefer(put.oldHash);
        emit BlobAdded(put.owner, put.hash, put.size, block.number + put.ttl, totals.used);
        return (uint64(block.number) + put.ttl, put.ttl, round);
    }

    /// Called by a bucket, whose object is no more.
    function remove(address owner, bytes32 hash, uint64 size, uint64 expiry, uint64 ttl, uint8 round) external {
        if (!isPaid(hash, round)) return;
        unpledge(owner, hash, uint128(size) * ttl, left(size, expiry));
        unrefer(hash);
    }

    function isPaid(bytes32 hash, uint8 round) private view returns (bool) {
        Stored storage blob = blobs[hash];
        return blob.round == round && blob.status != 0 && blob.status != FAILED;
    }

    function left(uint64 size, uint64 expiry) private view returns (uint128) {
        return expiry > block.number ? uint128(size) * (expiry - uint64(block.number)) : 0;
    }

    function spend(address owner, address origin, uint128 cost) private {
        CreditApproval storage grant = grants[owner][origin];
        if (!granted[owner][origin] || (grant.expiry != 0 && grant.expiry <= block.number)) revert(missing(owner, origin));
        if (grant.creditLimit != 0 && grant.creditUsed + cost > grant.creditLimit)
            revert(string.concat("usage would exceed credit limit of approval from ", Text.account(owner), " to ", Text.account(origin)));
        grant.creditUsed += cost;
    }

    function commit(address owner, uint128 cost) private {
        Balance storage balance = balances[owner];
        if (balance.free < cost)
            revert(string.concat("insufficient credit (balance: ", Text.number(balance.free), "; required: ", Text.number(cost), ")"));
        balance.free -= cost;
        balance.committed += cost;
        committed += cost;
    }

    function uncommit(address owner, uint128 cost, uint128 refund) private {
        balances[owner].free += refund;
        balances[owner].committed -= cost;
        committed -= cost;
        debited += cost - refund;
    }

    function unpledge(address owner, bytes32 hash, uint128 cost, uint128 refund) private {
        uncommit(owner, cost, refund);
        Stored storage blob = blobs[hash];
        if (blob.status == RESOLVED) return;
        if (blob.payer == owner) {
            blob.cost -= cost;
            return;
        }
        Pledge[] storage others = pledges[hash];
        for (uint256 i = 0; i < others.length; i++)
            if (others[i].payer == owner && others[i].cost >= cost) {
                others[i].cost -= cost;
                return;
            }
    }

    function refer(Put memory put, uint128 cost) private returns (uint8) {
        Stored storage blob = blobs[put.hash];
        uint64 expiry = uint64(block.number) + put.ttl;
        if (blob.status != 0 && blob.status != FAILED) {
            blob.references++;
            if (expiry > blob.expiry) blob.expiry = expiry;
            if (blob.status == RESOLVED) return blob.round;
            if (blob.payer == put.owner) blob.cost += cost;
            else pledges[put.hash].push(Pledge(put.owner, cost));
            return blob.round;
        }
        if (put.size > capacityFree()) revert("subnet has reached storage capacity");
        uint8 round;
        unchecked {
            round = blob.round + 1;
        }
        blobs[put.hash] = Stored(put.size, ADDED, round, put.owner, cost, 1, expiry, put.recoveryHash);
        balances[put.owner].used += put.size;
        totals.used += put.size;
        totals.blobs++;
        unresolved.added++;
        unresolved.bytesAdded += put.size;
        return round;
    }

    function unrefer(bytes32 hash) private {
        Stored storage blob = blobs[hash];
        blob.references--;
        if (blob.references > 0) return;
        settle(blob);
        unstore(blob);
        blob.status = 0;
        delete pledges[hash];
    }

    /// No longer among those that wait.
    function settle(Stored storage blob) private {
        if (blob.status == ADDED) {
            unresolved.added--;
            unresolved.bytesAdded -= blob.size;
        } else if (blob.status == PENDING) {
            unresolved.resolving--;
            unresolved.bytesResolving -= blob.size;
        }
    }

    function unstore(Stored storage blob) private {
        balances[blob.payer].used -= blob.size;
        totals.used -= blob.size;
        totals.blobs--;
    }

    // What the network does by itself, or its operator: the emulation calls these.

    /// A validator has begun to fetch them.
    function pend(bytes32[] calldata hashes, bytes32 source) external {
        for (uint256 i = 0; i < hashes.length; i++) {
            Stored storage blob = blobs[hashes[i]];
            if (blob.status != ADDED) continue;
            settle(blob);
            blob.status = PENDING;
            unresolved.resolving++;
            unresolved.bytesResolving += blob.size;
            emit BlobPending(blob.payer, hashes[i], source);
        }
    }

    /// Validators have found them whole, or not. What is decided stays so.
    function finalize(bytes32[] calldata hashes, bool isResolved) external {
        for (uint256 i = 0; i < hashes.length; i++) {
            Stored storage blob = blobs[hashes[i]];
            if (blob.status != ADDED && blob.status != PENDING) continue;
            settle(blob);
            if (!isResolved) {
                uncommit(blob.payer, blob.cost, blob.cost);
                Pledge[] storage others = pledges[hashes[i]];
                for (uint256 j = 0; j < others.length; j++) uncommit(others[j].payer, others[j].cost, others[j].cost);
                unstore(blob);
                blob.references = 0;
            }
            if (pledges[hashes[i]].length > 0) delete pledges[hashes[i]];
            blob.cost = 0;
            blob.status = isResolved ? RESOLVED : FAILED;
            emit BlobFinalized(blob.payer, hashes[i], isResolved);
        }
    }

    function plant(bytes32[] calldata hashes, uint64[] calldata sizes) external {
        for (uint256 i = 0; i < hashes.length; i++) {
            blobs[hashes[i]] = Stored(sizes[i], RESOLVED, 1, address(0), 0, 1, uint64(block.number) + DEFAULT_TTL, hashes[i]);
            balances[address(0)].used += sizes[i];
            totals.used += sizes[i];
            totals.blobs++;
        }
    }

    function setAccount(address who, uint128 free, uint64 maxTtl) external {
        Balance storage balance = accountOf(who);
        balance.free = free;
        balance.maxTtl = maxTtl;
    }

    function setCapacity(uint64 limit) external {
        totals.capacityLimit = limit;
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
        uint64 size;
        uint64 expiry; // 0: deleted
        uint64 ttl;
        uint32 added; // times
        uint8 round;
        bytes metadata; // a CBOR map of texts
    }
    struct Inspected {
        string key;
        bytes32 blobHash;
        uint64 size;
        uint64 expiry;
        uint32 added;
        KeyValue[] metadata;
    }

    event ObjectAdded(bytes key, bytes32 blobHash, bytes metadata);
    event ObjectDeleted(bytes key, bytes32 blobHash);
    event ObjectMetadataUpdated(bytes key, bytes metadata);

    Blobs constant BLOBS = Blobs(0xFF00000000000000000000000000000000000042);
    uint256 constant QUERY_MAX = 1000;
    address immutable owner;
    mapping(bytes32 => Stored) objects;
    string[] keys;

    constructor(address owner_) {
        owner = owner_;
    }

    function addObject(bytes32 source, string memory key, bytes32 hash, bytes32 recoveryHash, uint64 size) external {
        Put memory put;
        (put.source, put.hash, put.recoveryHash, put.size) = (source, hash, recoveryHash, size);
        store(put, key, new KeyValue[](0), false);
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
        Put memory put;
        (put.source, put.hash, put.recoveryHash, put.size, put.ttl) = (source, hash, recoveryHash, size, ttl);
        store(put, key, metadata, overwrite);
    }

    function store(Put memory put, string memory key, KeyValue[] memory metadata, bool overwrite) private {
        Cbor.check(metadata);
        Stored storage object = objects[keccak256(bytes(key))];
        if (object.expiry > block.number && !overwrite) revert("key exists; use overwrite");
        if (object.added == 0) keys.push(key);
        (put.owner, put.origin) = (owner, msg.sender);
        (put.oldHash, put.oldSize, put.oldExpiry) = (object.blobHash, object.size, object.expiry);
        (put.oldTtl, put.oldRound) = (object.ttl, object.round);
        (object.expiry, object.ttl, object.round) = BLOBS.add(put);
        object.blobHash = put.hash;
        object.size = put.size;
        object.added++;
        bytes memory encoded = Cbor.encode(metadata);
        object.metadata = encoded;
        emit ObjectAdded(bytes(key), put.hash, encoded);
    }

    function deleteObject(string memory key) external {
        Stored storage object = live(key);
        allow();
        BLOBS.remove(owner, object.blobHash, object.size, object.expiry, object.ttl, object.round);
        object.expiry = 0;
        emit ObjectDeleted(bytes(key), object.blobHash);
    }

    /// Entries are set; those with an empty value are taken away.
    function updateObjectMetadata(string memory key, KeyValue[] memory changes) external {
        Stored storage object = live(key);
        allow();
        object.metadata = Cbor.encode(Cbor.merge(Cbor.decode(object.metadata), changes));
        emit ObjectMetadataUpdated(bytes(key), object.metadata);
    }

    function live(string memory key) private view returns (Stored storage object) {
        object = objects[keccak256(bytes(key))];
        if (object.expiry <= block.number) revert("key not found");
    }

    function allow() private view {
        if (msg.sender != owner)
            revert(string.concat("missing delegation from ", Text.account(owner), " to ", Text.account(msg.sender)));
    }

    function getObject(string memory key) external view returns (ObjectValue memory value) {
        Stored storage object = objects[keccak256(bytes(key))];
        if (object.expiry <= block.number) return value;
        (bool isResolved, bytes32 recoveryHash) = BLOBS.resolved(object.blobHash);
        if (!isResolved) return value;
        value = ObjectValue(object.blobHash, recoveryHash, object.size, object.expiry, Cbor.decode(object.metadata));
    }

    /// In the order of adding, which is no order, like the actor's. `startKey` is where an earlier answer's `nextKey` was.
    function queryObjects(string memory prefix, string memory delimiter, string memory startKey, uint64 limit)
        external
        view
        returns (Query memory query)
    {
        uint256 most = limit == 0 || limit > QUERY_MAX ? QUERY_MAX : limit;
        query.objects = new KeyedObject[](most);
        query.commonPrefixes = new string[](most);
        uint256 found;
        uint256 prefixes;
        bool begun = bytes(startKey).length == 0;
        for (uint256 i = 0; i < keys.length; i++) {
            string memory key = keys[i];
            begun = begun || keccak256(bytes(key)) == keccak256(bytes(startKey));
            Stored storage object = objects[keccak256(bytes(key))];
            if (!begun || object.expiry <= block.number || !startsWith(bytes(key), bytes(prefix))) continue;
            if (found + prefixes == most) {
                query.nextKey = key;
                break;
            }
            uint256 end = delimited(bytes(key), bytes(prefix).length, bytes(delimiter));
            if (end == 0)
                query.objects[found++] = KeyedObject(
                    key, ObjectState(object.blobHash, object.size, object.expiry, Cbor.decode(object.metadata)));
            else prefixes = include(query.commonPrefixes, prefixes, cut(bytes(key), end));
        }
        KeyedObject[] memory objects_ = query.objects;
        string[] memory prefixes_ = query.commonPrefixes;
        assembly {
            mstore(objects_, found)
            mstore(prefixes_, prefixes)
        }
    }

    function include(string[] memory list, uint256 count, string memory text) private pure returns (uint256) {
        for (uint256 i = 0; i < count; i++) if (keccak256(bytes(list[i])) == keccak256(bytes(text))) return count;
        list[count] = text;
        return count + 1;
    }

    /// Where the first delimiter after `from` ends; 0 if there is none.
    function delimited(bytes memory key, uint256 from, bytes memory delimiter) private pure returns (uint256) {
        if (delimiter.length == 0) return 0;
        for (uint256 i = from; i + delimiter.length <= key.length; i++) {
            uint256 same;
            while (same < delimiter.length && key[i + same] == delimiter[same]) same++;
            if (same == delimiter.length) return i + same;
        }
        return 0;
    }

    function cut(bytes memory key, uint256 end) private pure returns (string memory) {
        bytes memory start = new bytes(end);
        for (uint256 i = 0; i < end; i++) start[i] = key[i];
        return string(start);
    }

    function startsWith(bytes memory value, bytes memory prefix) private pure returns (bool) {
        if (value.length < prefix.length) return false;
        for (uint256 i = 0; i < prefix.length; i++) if (value[i] != prefix[i]) return false;
        return true;
    }

    // Of the emulation.

    /// What lies under each key, resolved or not, and how often it was put there.
    function inspect(uint256 from, uint256 count) external view returns (Inspected[] memory found) {
        uint256 end = from + count > keys.length ? keys.length : from + count;
        found = new Inspected[](end > from ? end - from : 0);
        for (uint256 i = from; i < end; i++) {
            Stored storage object = objects[keccak256(bytes(keys[i]))];
            found[i - from] = Inspected(
                keys[i], object.blobHash, object.size, object.expiry, object.added, Cbor.decode(object.metadata));
        }
    }

    /// The time of these is up: the chain would take an hour to come to the end of the shortest.
    function expire(string[] memory expired) external {
        for (uint256 i = 0; i < expired.length; i++) {
            Stored storage object = objects[keccak256(bytes(expired[i]))];
            if (object.expiry > block.number) object.expiry = uint64(block.number);
        }
    }

    /// Objects that are there, resolved, without anybody's transaction for each.
    function plant(string[] memory newKeys, bytes32[] memory hashes, uint64[] memory sizes, KeyValue[][] memory metadata) external {
        for (uint256 i = 0; i < newKeys.length; i++) {
            objects[keccak256(bytes(newKeys[i]))] =
                Stored(hashes[i], sizes[i], uint64(block.number) + 86400, 86400, 1, 0, Cbor.encode(metadata[i]));
            keys.push(newKeys[i]);
        }
        BLOBS.plant(hashes, sizes);
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
