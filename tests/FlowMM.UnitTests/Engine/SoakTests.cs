using System.Globalization;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging;
using TorchSharp;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>
/// Random load in phases; after each the memory must be back where it was. Steps of each phase: FLOWMM_SOAK_STEPS / 5, 1,000 / 5 without it
/// (scripts/soak.sh runs 10,000).
/// </summary>
[Collection(Alone.Name)]
public sealed class SoakTests(ITestOutputHelper output)
{
    private const int Phases = 5;
    private const long HeapSlack = 2 << 20;

    [Fact]
    public async Task Generate_RandomLoad_LeavesNothingBehind()
    {
        int steps = int.Parse(Environment.GetEnvironmentVariable("FLOWMM_SOAK_STEPS") ?? "1000", CultureInfo.InvariantCulture);
        using InferenceEngine engine = new(
            TinyModel.Model,
            new EngineOptions { CacheBytes = 5 << 20, HostCacheBytes = 4 << 20, PictureCacheBytes = 1 << 17, MaxRunning = 8, PrefillChunk = 64 },
            new FailedSteps(output));
        List<(long Tensors, long Heap)> after = [];
        for (int phase = 0; phase < Phases; phase++)
        {
            RandomLoad load = new(engine, phase, until: engine.Steps + (steps / Phases));
            await load.Run(TestContext.Current.CancellationToken);
            CacheMemory busy = await engine.CheckIntegrity(TestContext.Current.CancellationToken);
            await load.Forget(TestContext.Current.CancellationToken);
            CacheMemory idle = await engine.CheckIntegrity(TestContext.Current.CancellationToken);
            Assert.Equal((0, 0, 0), (idle.ReservedBytes, idle.Slots, idle.Sessions));
            after.Add((Collected(), GC.GetTotalMemory(forceFullCollection: true)));
            output.WriteLine(
                $"{engine.Steps} steps, {load.Turns} turns, {engine.Preemptions} preemptions; {busy.Sessions} sessions in {busy.ReservedBytes:N0} bytes, "
                + $"then {after[^1].Tensors} tensors, {after[^1].Heap:N0} bytes of managed heap");
        }

        // The first phase fills the picture cache and the runtime's own tables.
        Assert.All(after.Skip(2), a => Assert.InRange(a.Tensors, 0, after[1].Tensors));
        Assert.InRange(after[^1].Heap, 0, after[1].Heap + HeapSlack);
        Assert.NotEqual(0, engine.Preemptions);
    }

    /// <summary>Shows what made a step fail: its turn is told no more than that it did.</summary>
    private sealed class FailedSteps(ITestOutputHelper output) : ILogger<InferenceEngine>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            output.WriteLine($"{formatter(state, exception)} {exception}");
    }

    private static long Collected()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return torch.Tensor.TotalCount;
    }
}
