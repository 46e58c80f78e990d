// Runs the SDK against the Stream Manager at the port in argv, and says what does
// not hold. Nothing of the SDK is changed or replaced.
const assert = require("assert");
const {
    ExportDefinition, ExportFormat, HTTPConfig, InvalidRequestException, KinesisConfig,
    MessageStreamDefinition, NotEnoughMessagesException, Persistence, ReadMessagesOptions,
    RequestPayloadTooLargeException, ResourceNotFoundException, S3ExportTaskExecutorConfig,
    StatusConfig, StatusLevel, StrategyOnFull, StreamManagerClient, UpdateNotAllowedException,
    IoTAnalyticsConfig, ValidationException,
} = require("aws-greengrass-core-sdk/stream-manager");

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };

const client = new StreamManagerClient({
    port: parseInt(process.argv[2], 10),
    logger: quiet,
    onConnectCb: () => run().then(() => console.log("ok"), (e) => { console.error(e); process.exitCode = 1; })
        .finally(() => client.close()),
    onErrorCb: (e) => { console.error("connection:", e); process.exitCode = 1; },
});

const definition = () => new MessageStreamDefinition().withName("drive log").withStrategyOnFull(StrategyOnFull.OverwriteOldestData)
    .withMaxSize(Number.MAX_SAFE_INTEGER + 1).withTimeToLiveMillis(3600000).withFlushOnWrite(false)
    .withPersistence(Persistence.File)
    .withExportDefinition(new ExportDefinition()
        .withKinesis([new KinesisConfig().withIdentifier("k").withKinesisStreamName("cloud").withBatchSize(500).withPriority(1)])
        .withHttp([new HTTPConfig().withIdentifier("h").withUri("http://localhost/").withExportFormat(ExportFormat.JSON_BATCHED)])
        .withS3TaskExecutor([new S3ExportTaskExecutorConfig().withIdentifier("s")
            .withStatusConfig(new StatusConfig().withStatusLevel(StatusLevel.INFO).withStatusStreamName("told"))]));

const options = (from, min, max, timeout) => new ReadMessagesOptions().withDesiredStartSequenceNumber(from)
    .withMinMessageCount(min).withMaxMessageCount(max).withReadTimeoutMillis(timeout);

async function run() {
    assert.deepStrictEqual(await client.listStreams(), []);
    await client.createMessageStream(definition());
    await assert.rejects(client.createMessageStream(definition()), InvalidRequestException);
    assert.deepStrictEqual(await client.listStreams(), ["drive log"]);

    // One after another, and many at once, large ones too.
    assert.strictEqual(await client.appendMessage("drive log", Buffer.from("first")), 0);
    assert.strictEqual(await client.appendMessage("drive log", Buffer.alloc(1 << 20, 7)), 1);
    const many = [];
    for (let i = 2; i < 500; i++) many.push(client.appendMessage("drive log", Buffer.from(`m${i}`)));
    assert.deepStrictEqual(await Promise.all(many), many.map((_, i) => i + 2));

    const one = await client.readMessages("drive log");
    assert.strictEqual(one.length, 1);
    assert.strictEqual(one[0].sequenceNumber, 0);
    assert.strictEqual(one[0].streamName, "drive log");
    assert.strictEqual(one[0].payload.toString(), "first");
    assert.ok(Math.abs(one[0].ingestTime - Date.now()) < 600000, `ingest time ${one[0].ingestTime}`);
    const rest = await client.readMessages("drive log", options(2, 400, 1000, 0));
    assert.strictEqual(rest.length, 498);
    rest.forEach((m, i) => assert.strictEqual(m.payload.toString(), `m${i + 2}`));
    const large = await client.readMessages("drive log", options(1, 1, 1, 0));
    assert.ok(large[0].payload.equals(Buffer.alloc(1 << 20, 7)));

    // A read that waits does not hold up what comes after it.
    const waiting = client.readMessages("drive log", options(500, 1, 10, 30000));
    assert.strictEqual(await client.appendMessage("drive log", Buffer.from("awaited")), 500);
    assert.strictEqual((await waiting)[0].payload.toString(), "awaited");

    let info = await client.describeMessageStream("drive log");
    assert.strictEqual(info.storageStatus.oldestSequenceNumber, 0);
    assert.strictEqual(info.storageStatus.newestSequenceNumber, 500);
    assert.ok(info.storageStatus.totalBytes > 1 << 20);
    assert.strictEqual(info.definition.maxSize, Number.MAX_SAFE_INTEGER);
    assert.strictEqual(info.definition.strategyOnFull, StrategyOnFull.OverwriteOldestData);
    assert.strictEqual(info.definition.persistence, Persistence.File);
    assert.strictEqual(info.definition.exportDefinition.kinesis[0].kinesisStreamName, "cloud");
    assert.strictEqual(info.definition.exportDefinition.http[0].exportFormat, ExportFormat.JSON_BATCHED);
    assert.strictEqual(info.definition.exportDefinition.s3TaskExecutor[0].statusConfig.statusLevel, StatusLevel.INFO);

    await client.updateMessageStream(definition().withTimeToLiveMillis(7200000).withMaxSize(64 << 20));
    info = await client.describeMessageStream("drive log");
    assert.strictEqual(info.definition.timeToLiveMillis, 7200000);

    // Errors are the SDK's exceptions, with the server's words.
    const says = (type, words) => (e) => { assert.ok(e instanceof type, e); assert.match(e.message, words); return true; };
    await assert.rejects(client.updateMessageStream(definition().withPersistence(Persistence.Memory)), says(UpdateNotAllowedException, /persistence/));
    await assert.rejects(client.appendMessage("nowhere", Buffer.from("x")), says(ResourceNotFoundException, /nowhere/));
    await assert.rejects(client.readMessages("nowhere"), ResourceNotFoundException);
    await assert.rejects(client.describeMessageStream("nowhere"), ResourceNotFoundException);
    await assert.rejects(client.deleteMessageStream("nowhere"), ResourceNotFoundException);
    await assert.rejects(client.updateMessageStream(definition().withName("nowhere")), ResourceNotFoundException);
    await assert.rejects(client.readMessages("drive log", options(501, 1, 1, 0)), NotEnoughMessagesException);
    await assert.rejects(client.readMessages("drive log", options(501, 1, 1, 20)), NotEnoughMessagesException);
    await assert.rejects(client.appendMessage("drive log", Buffer.alloc((1 << 20) + 1)), RequestPayloadTooLargeException);
    await assert.rejects(client.appendMessage("drive log", Buffer.alloc(3 << 20)), RequestPayloadTooLargeException);
    await assert.rejects(client.createMessageStream(new MessageStreamDefinition().withName("a").withStrategyOnFull(StrategyOnFull.RejectNewData)
        .withExportDefinition(new ExportDefinition().withIotAnalytics([new IoTAnalyticsConfig().withIdentifier("a").withIotChannel("c")]))),
    says(InvalidRequestException, /IoT Analytics/));
    await assert.rejects(client.createMessageStream(new MessageStreamDefinition().withName("no/slash")), ValidationException);

    await client.deleteMessageStream("drive log");
    assert.deepStrictEqual(await client.listStreams(), []);
}
