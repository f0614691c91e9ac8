using System.Globalization;

namespace FlowMM.EndToEndTests.Testing;

/// <summary><c>flowmm serve</c> as a process, on a data folder that outlives it.</summary>
internal sealed class Standalone : IAsyncDisposable
{
    private readonly RunningProgram _program;

    private Standalone(RunningProgram program, int port) => (_program, Address) = (program, $"127.0.0.1:{port}");

    /// <summary>HOST:PORT of gRPC.</summary>
    public string Address { get; }

    public static async Task<Standalone> StartAsync(string data)
    {
        (int grpc, int http) = (Checkout.FreePort(), Checkout.FreePort());
        string[] arguments = ["serve", "--model", Checkout.Model, "--data", data, "--port", Text(grpc), "--http-port", Text(http)];
        Standalone standalone = new(RunningProgram.Start(Flowmm.Program, arguments), grpc);
        await standalone._program.WaitUntilAsync(() => Health.IsReadyAsync(http));
        return standalone;
    }

    public Task KillAsync() => _program.KillAsync();

    public ValueTask DisposeAsync() => _program.DisposeAsync();

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The <c>flowmm</c> command.</summary>
internal static class Flowmm
{
    public static string Program { get; } = Checkout.Program("src/FlowMM.Cli", "flowmm");
}
