using FlowMM.EndToEndTests.Testing;
using FlowMM.Inference.V1;
using Xunit;

namespace FlowMM.EndToEndTests;

/// <summary>What operators do from the command line: sessions as files, nodes and their draining.</summary>
public sealed class OperatorTests
{
    [Fact]
    public async Task Sessions_ExportedAndImported_GoOnAndNodesAreListedAndDrained()
    {
        using TemporaryFolder data = new();
        await using Standalone server = await Standalone.StartAsync(data.Path);
        using GatewayClient client = new(server.Address);
        string session = await client.CreateAsync(), file = Path.Combine(data.Path, "boot.flowmm");
        await client.AskAsync(session, GatewayClient.Picture(await File.ReadAllBytesAsync(Checkout.Sample("boot"))), GatewayClient.Text("What is this?"));

        Assert.Contains("boot.flowmm", (await RunAsync(server, 0, "sessions", "export", session, file)).Output, StringComparison.Ordinal);
        Assert.Contains("exists", (await RunAsync(server, 1, "sessions", "export", session, file)).Errors, StringComparison.Ordinal);
        Assert.Contains("copy  turns 1,", (await RunAsync(server, 0, "sessions", "import", file, "--id", "copy")).Output, StringComparison.Ordinal);
        Turn next = await client.AskAsync("copy", GatewayClient.Text("What colour is the image?"));
        Assert.Equal(("yellow", Source.Replayed), (next.Text, next.Provenance.Source));
        Assert.Contains("ALREADY_EXISTS", (await RunAsync(server, 1, "sessions", "import", file, "--id", "copy")).Errors, StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, "something else");
        Assert.Contains("INVALID_ARGUMENT", (await RunAsync(server, 1, "sessions", "import", file)).Errors, StringComparison.Ordinal);
        string missing = Path.Combine(data.Path, "missing");
        Assert.Contains("NOT_FOUND", (await RunAsync(server, 1, "sessions", "export", "nobody", missing)).Errors, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(data.Path, "missing*"));

        string[] nodes = (await RunAsync(server, 0, "nodes")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] cells = nodes[1].Split("  ", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal((2, "active", "2"), (nodes.Length, cells[2].Trim(), cells[3].Trim()));
        Assert.Contains("NOT_FOUND", (await RunAsync(server, 1, "nodes", "drain", "nobody")).Errors, StringComparison.Ordinal);
        Assert.Contains("INVALID_ARGUMENT", (await RunAsync(server, 1, "nodes", "drain", cells[0], "--timeout", "5000")).Errors, StringComparison.Ordinal);
        Assert.Equal("2 sessions moved, 0 left\n", (await RunAsync(server, 0, "nodes", "drain", cells[0], "--timeout", "60")).Output);
        for (int tries = 0; !(await RunAsync(server, 0, "nodes")).Output.Contains("draining", StringComparison.Ordinal); tries++)
        {
            Assert.InRange(tries, 0, 60);
        }
    }

    private static async Task<(string Output, string Errors)> RunAsync(Standalone server, int expected, params string[] arguments)
    {
        (int exit, string output, string errors) = await RunningProgram.RunAsync(Flowmm.Program, [.. arguments, "--address", server.Address]);
        Assert.True(exit == expected, $"{string.Join(' ', arguments)} ended with {exit}: {errors}");
        return (output, errors);
    }
}
