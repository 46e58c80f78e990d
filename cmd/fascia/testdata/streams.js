// Uses the streams of the gateway at the port in argv through the SDK, before and after
// a restart of it.
const assert = require("assert");
const {
    ExportDefinition, KinesisConfig, MessageStreamDefinition, ResourceNotFoundException, StrategyOnFull,
    StreamManagerClient, UpdateNotAllowedException,
} = require("aws-greengrass-core-sdk/stream-manager");

const [port, when] = process.argv.slice(2);
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const definition = (name) => new MessageStreamDefinition().withName(name).withStrategyOnFull(StrategyOnFull.RejectNewData);
const exports_ = new ExportDefinition().withKinesis([new KinesisConfig().withIdentifier("to the cloud").withKinesisStreamName("cloud")]);

const steps = {
    async before(client) {
        await client.createMessageStream(definition("drive log").withExportDefinition(exports_));
        for (let i = 0; i < 10; i++) assert.strictEqual(await client.appendMessage("drive log", Buffer.from(`m${i}`)), i);
        assert.deepStrictEqual(await client.listStreams(), ["drive log", "telemetry"]);
        await assert.rejects(client.updateMessageStream(definition("telemetry")), UpdateNotAllowedException);
        await assert.rejects(client.deleteMessageStream("telemetry"), UpdateNotAllowedException);
    },
    async after(client) {
        const info = await client.describeMessageStream("drive log");
        assert.strictEqual(info.storageStatus.newestSequenceNumber, 9);
        assert.strictEqual(info.definition.exportDefinition.kinesis[0].identifier, "to the cloud");
        assert.strictEqual(info.exportStatuses[0].exportConfigIdentifier, "to the cloud");
        assert.strictEqual(await client.appendMessage("drive log", Buffer.from("m10")), 10);
        await client.updateMessageStream(definition("drive log").withTimeToLiveMillis(3600000));
        assert.deepStrictEqual((await client.describeMessageStream("drive log")).exportStatuses || [], []);
        await client.deleteMessageStream("drive log");
        await assert.rejects(client.readMessages("drive log"), ResourceNotFoundException);
    },
};

const client = new StreamManagerClient({
    port: Number(port),
    logger: quiet,
    onConnectCb: () => steps[when](client).then(() => console.log("ok"), (e) => { console.error(e); process.exitCode = 1; })
        .finally(() => client.close()),
    onErrorCb: (e) => { console.error("connection:", e); process.exitCode = 1; },
});
