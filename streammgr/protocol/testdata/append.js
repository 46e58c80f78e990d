// Appends messages one after another through the SDK, and prints how many
// microseconds the median and the slowest in a hundred took.
const { StreamManagerClient, MessageStreamDefinition, StrategyOnFull } = require("aws-greengrass-core-sdk/stream-manager");

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const [port, count] = process.argv.slice(2).map(Number);
const warmUp = 2000;

const client = new StreamManagerClient({
    port,
    logger: quiet,
    onConnectCb: async () => {
        await client.createMessageStream(new MessageStreamDefinition().withName("a").withStrategyOnFull(StrategyOnFull.OverwriteOldestData));
        const payload = Buffer.alloc(200);
        const took = [];
        for (let i = 0; i < warmUp + count; i++) {
            const begun = process.hrtime.bigint();
            await client.appendMessage("a", payload);
            if (i >= warmUp) took.push(Number(process.hrtime.bigint() - begun) / 1000);
        }
        took.sort((a, b) => a - b);
        console.log(took[count >> 1], took[Math.floor(count * 0.99)]);
        client.close();
    },
});
