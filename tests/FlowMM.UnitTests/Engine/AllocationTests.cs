using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>A decoding step's garbage is bounded, whatever the history's length and the vocabulary are.</summary>
public sealed class AllocationTests(ITestOutputHelper output)
{
    private const int Sessions = 4;
    private const int Bound = 6 << 10;

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 4)]
    [InlineData(0.01, 0)]
    public async Task Step_WhileSessionsDecode_TakesLittleManagedMemory(double temperature, int draft)
    {
        using InferenceEngine engine = new(TinyModel.Model, new EngineOptions(), NullLogger<InferenceEngine>.Instance);
        SamplingOptions sampling = new() { MaxTokens = 20, Temperature = temperature, SpeculateTokens = draft };
        await Run(engine, "warm", sampling);
        (long bytes, long tokens) = await Run(engine, "long", sampling with { MaxTokens = 500 });
        output.WriteLine($"{tokens} tokens, {bytes} bytes, {(double)bytes / tokens:F0} a token");
        Assert.InRange(tokens, Sessions * 100, Sessions * 500);
        Assert.InRange((double)bytes / tokens, 1, Bound);
    }

    /// <summary>Runs a turn of each session at once, prefill and all.</summary>
    /// <returns>Bytes that the engine's thread took for them, and the tokens that it says it made: who reads may be late and counts for nothing.</returns>
    private static async Task<(long Bytes, long Tokens)> Run(InferenceEngine engine, string name, SamplingOptions sampling)
    {
        long before = await Allocated(engine);
        int[] tokens = await Task.WhenAll(Enumerable.Range(0, Sessions).Select(async s =>
        {
            int said = 0;
            await foreach (EngineEvent happened in engine.Generate(Sequences.Input($"{name}-{s}", 120, sampling: sampling), TestContext.Current.CancellationToken))
            {
                said = happened is EndEvent end ? end.Ids.Count : said;
            }

            return said;
        }));
        return (await Allocated(engine) - before, tokens.Sum());
    }

    /// <summary>As of the step before now: what the engine is asked is answered between two.</summary>
    private static async Task<long> Allocated(InferenceEngine engine)
    {
        Assert.False(await engine.Freeze("nobody", TestContext.Current.CancellationToken));
        return engine.AllocatedBytes;
    }
}
