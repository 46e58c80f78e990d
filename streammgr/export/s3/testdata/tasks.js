// Makes a task for S3 with the SDK, or reads the status of one.
const assert = require("assert");
const { S3ExportTaskDefinition, Status, StatusLevel, StatusMessage, EventType, util } = require("aws-greengrass-core-sdk/stream-manager");

const [what, ...args] = process.argv.slice(2);
if (what === "make") {
    const [inputUrl, bucket] = args;
    const task = new S3ExportTaskDefinition().withInputUrl(inputUrl).withBucket(bucket).withKey("made/by/sdk").withUserMetadata({ trip: "7" });
    process.stdout.write(util.validateAndSerializeToJsonBytes(task));
} else {
    const [text, inputUrl] = args;
    const message = util.deserializeJsonBytesToObj(Buffer.from(text), StatusMessage);
    assert.strictEqual(message.status, Status.Success);
    assert.strictEqual(message.statusLevel, StatusLevel.INFO);
    assert.strictEqual(message.eventType, EventType.S3Task);
    assert.strictEqual(message.statusContext.s3ExportTaskDefinition.inputUrl, inputUrl);
    assert.strictEqual(message.statusContext.streamName, "uploads");
    assert.strictEqual(message.statusContext.exportIdentifier, "far");
    assert.strictEqual(message.statusContext.sequenceNumber, 9);
    assert.ok(message.timestampEpochMs > 0);
    console.log("ok");
}
