using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;

namespace FlowMM.UnitTests.Engine;

/// <summary>Turns whose prompts are random tokens of a given length.</summary>
internal static class Sequences
{
    public static TurnInput Input(string session, int length, MergingOptions? merging = null, SamplingOptions? sampling = null)
    {
        // Ids from 100 on are plain text in the shipped model.
        Random random = new(length);
        return new TurnInput
        {
            Session = session,
            History = [],
            Prompt = new TokenRun { Ids = [.. Enumerable.Range(0, length).Select(_ => random.Next(100, 1000))], Merging = MergingPlan.From(merging ?? new()) },
            Sampling = SamplingPlan.From(sampling ?? new() { MaxTokens = 1 }),
            LoadImage = (hash, _) => throw new InvalidOperationException($"There is no picture {hash}."),
        };
    }

    public static Sequence Of(string session, int length) => new(
        Input(session, length, sampling: new() { MaxTokens = 100 }),
        new Dictionary<string, ProcessedImage>(),
        new StreamingDetokenizer(TinyModel.Model.Tokenizer),
        TimeProvider.System);
}
