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
        (long Bytes, long Tokens) warm = default;
        int[] had = new int[Sessions];
        (long bytes, long tokens) = (0, 0);
        await Task.WhenAll(Enumerable.Range(0, Sessions).Select(async s =>
        {
            SamplingOptions sampling = new() { MaxTokens = 500, Temperature = temperature, SpeculateTokens = draft };
            await foreach (EngineEvent happened in engine.Generate(Sequences.Input($"{s}", 120, sampling: sampling), TestContext.Current.CancellationToken))
            {
                lock (had)
                {
                    had[s]++;
                    if (happened is EndEvent && bytes == 0)
                    {
                        (bytes, tokens) = (engine.AllocatedBytes - warm.Bytes, had.Sum() - warm.Tokens);
                    }
                    else if (warm == default && had.All(h => h > 20))
                    {
                        warm = (engine.AllocatedBytes, had.Sum());
                    }
                }
            }
        }));
        output.WriteLine($"{tokens} tokens, {bytes} bytes, {(double)bytes / tokens:F0} a token");
        Assert.InRange((double)bytes / tokens, 1, Bound);
    }
}
