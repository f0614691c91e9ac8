using System.Text.Json;
using FlowMM.EndToEndTests.Testing;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary>Silo and gateway as two programs with a redis-server, asked by a client in another language.</summary>
public sealed class ProcessesTests
{
    [Fact]
    public async Task Converse_FromNodeWithPicture_IsAnsweredAndReusesTheCache()
    {
        await using Cluster cluster = await Cluster.StartAsync();
        (int exit, string output, string errors) = await RunningProgram.RunAsync(
            "node",
            [
                Checkout.At("tests/FlowMM.EndToEndTests/client/converse.js"), cluster.Address, Checkout.At("protos"),
                Checkout.Sample("dress"), "What is this?", "What colour is the image?",
            ]);

        Assert.True(exit == 0, errors);
        JsonElement[] turns = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.Equal(["a white dress", "white"], turns.Select(t => t.GetProperty("streamed").GetString()));
        Assert.Equal(["a white dress", "white"], turns.Select(t => t.GetProperty("turn").GetProperty("text").GetString()));
        JsonElement[] provenance = [.. turns.Select(t => t.GetProperty("turn").GetProperty("provenance"))];
        Assert.Equal(0, provenance[0].GetProperty("tokens_reused").GetInt32());
        Assert.InRange(provenance[1].GetProperty("tokens_reused").GetInt32(), 20, int.MaxValue);
        Assert.Equal("SOURCE_RESIDENT", provenance[1].GetProperty("source").GetString());
    }
}
