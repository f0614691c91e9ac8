using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>What a session of 64 pictures holds on the device after its first turn, slack of size classes included.</summary>
public sealed class ResidentBytesTests
{
    private static readonly string Evaluation = Path.Combine(TinyModel.Directory, "eval");

    [Theory]
    [InlineData(0.2, 0.78)]
    [InlineData(0.05, 0.93)]
    public async Task Generate_SixtyFourPictures_HoldsLessByTheBudget(double budget, double fall)
    {
        (long full, _) = await Held(new());
        (long merged, CompressionReport? report) = await Held(new() { Method = "flowmm", BudgetRatio = budget });
        Assert.True(merged <= (1 - fall) * full, $"{merged} of {full} bytes are held: {1 - ((double)merged / full):P2} less.");
        Assert.True(report!.BytesAfter <= (1 - fall) * report.BytesBefore, $"{report.BytesAfter} of {report.BytesBefore} bytes are reported.");
    }

    private static async Task<(long Bytes, CompressionReport? Report)> Held(MergingOptions merging)
    {
        using InferenceEngine engine = new(TinyModel.Model, new EngineOptions(), NullLogger<InferenceEngine>.Instance);
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(Turn(merging), TestContext.Current.CancellationToken))
        {
            end = happened as EndEvent ?? end;
        }

        return (engine.BytesOf("album").Device, end!.Compression);
    }

    private static TurnInput Turn(MergingOptions merging)
    {
        using JsonDocument session = JsonDocument.Parse(File.ReadLines(Path.Combine(Evaluation, "images-64.jsonl")).First());
        byte[][] pictures = [.. session.RootElement.GetProperty("images").EnumerateArray().Select(i => File.ReadAllBytes(Path.Combine(Evaluation, "pictures", i.GetString()!)))];
        string[] hashes = [.. pictures.Select(p => ImmutableBytes.Of(p).Hash)];
        ChatMessage message = new("user", [.. pictures.Select(_ => ChatPart.OfImage(32, 32)), ChatPart.OfText("What is in image 3?")]);
        PromptTokens tokens = new PromptBuilder(TinyModel.Model).Build([message]);
        return new TurnInput
        {
            Session = "album",
            History = [],
            Prompt = new TokenRun
            {
                Ids = tokens.Ids,
                Images = [.. tokens.Images.Select((image, i) => new ImageTokens(image.Start, image.Length, hashes[i], image.Grid))],
                Merging = MergingPlan.From(merging),
            },
            // At 5 % the model may ramble: tokens of an answer are held whole beside the merged prompt, which is what is measured.
            Sampling = SamplingPlan.From(new() { MaxTokens = 8 }),
            LoadImage = (hash, _) => Task.FromResult<ReadOnlyMemory<byte>>(pictures[Array.IndexOf(hashes, hash)]),
        };
    }
}
