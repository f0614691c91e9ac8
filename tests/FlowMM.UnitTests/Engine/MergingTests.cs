using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>Merging as a session meets it: on the engine, with the shipped model.</summary>
public sealed class MergingTests
{
    private static readonly string[] Pictures =
    [
        "garment-039", "shape-016", "code-019", "garment-011", "shape-071", "codefont-004", "garment-031", "garment-033",
        "garment-058", "shape-089", "code-025", "garment-063", "shape-094", "codefont-018", "garment-087", "garment-091",
    ];

    public static TheoryData<string> Methods() => [.. MergingPresets.Names];

    [Theory]
    [MemberData(nameof(Methods))]
    public async Task Generate_EveryMethod_HoldsItsBudgetAndAnswers(string method)
    {
        using InferenceEngine engine = Start();
        EngineAlbum album = new(engine, new() { Method = method, BudgetRatio = 0.2 });
        EndEvent end = await album.Ask("What is in image 3?");
        Assert.NotEmpty(end.Ids);
        if (method == "full")
        {
            Assert.Null(end.Compression);
            return;
        }

        CompressionReport report = Assert.IsType<CompressionReport>(end.Compression);
        Assert.Equal((TinyModel.Model.CacheShape.Layers, method is "flowmm-paper" or "flowmm-reference" ? "flowmm" : method), (report.Layers.Count, report.Method));
        if (method != "look-m")
        {
            int budget = (int)Math.Ceiling(0.2 * end.Usage.PromptTokens);
            Assert.Equal(budget * report.Layers.Count, report.Layers.Sum(l => l.Kept));
            Assert.True(report.BytesAfter < 0.4 * report.BytesBefore, $"{report.BytesAfter} of {report.BytesBefore} bytes are held.");
        }
    }

    [Fact]
    public async Task Generate_WholeBudget_AnswersAsTheFullCache()
    {
        using InferenceEngine engine = Start();
        EndEvent full = await new EngineAlbum(engine, new()).Ask("What is in image 3?");
        EndEvent whole = await new EngineAlbum(engine, new() { Method = "flowmm", BudgetRatio = 1 }).Ask("What is in image 3?");
        Assert.Equal(full.Ids, whole.Ids);
    }

    [Fact]
    public async Task Generate_SecondTurnOfAMergedSession_ReusesAndEqualsAReplay()
    {
        using InferenceEngine engine = Start();
        EngineAlbum album = new(engine, new() { Method = "flowmm", BudgetRatio = 0.35 });
        await album.Ask("What is in image 3?");
        TurnInput second = album.Next("What colour is image 1?");
        EndEvent resident = await EngineAlbum.Run(engine, second);
        EndEvent replayed = await EngineAlbum.Run(engine, second with { Session = "elsewhere" });
        Assert.Equal(CacheSource.Resident, resident.Provenance.Source);
        Assert.Equal(CacheSource.Replayed, replayed.Provenance.Source);
        Assert.Equal(resident.Ids, replayed.Ids);
    }

    [Fact]
    public async Task Generate_ChunkedPrefill_MergesAsInOnePiece()
    {
        using InferenceEngine whole = Start(), pieces = Start(new EngineOptions { PrefillChunk = 16 });
        MergingOptions options = new() { Method = "flowmm", BudgetRatio = 0.2 };
        EndEvent one = await new EngineAlbum(whole, options).Ask("What is in image 3?");
        EndEvent many = await new EngineAlbum(pieces, options).Ask("What is in image 3?");
        Assert.Equal(one.Ids, many.Ids);
        Assert.Equal(one.Compression!.BytesAfter, many.Compression!.BytesAfter);
        Assert.All(one.Compression.Layers.Zip(many.Compression.Layers), l => Assert.Equal(l.First.Rho, l.Second.Rho, 1e-4));
    }

    [Fact]
    public async Task Generate_LongAnswer_MergesTheDecodedTail()
    {
        using InferenceEngine engine = Start();
        EngineAlbum album = new(engine, new() { Method = "flowmm", BudgetRatio = 0.2 });
        EndEvent? longest = null;
        for (ulong seed = 0; seed < 100 && longest is null; seed++)
        {
            // The end token stands in the prompt, so the penalty lets answers grow long.
            TurnInput input = album.Next("Tell me everything.", (2, seed, 300, $"tail-{seed}"));
            EndEvent end = await EngineAlbum.Run(engine, input with
            {
                Sampling = input.Sampling with { RepetitionPenalty = 10 },
                Prompt = input.Prompt with { Merging = input.Prompt.Merging! with { MaxTail = 96 } },
            });
            longest = end.Ids.Count > 100 ? end : null;
        }

        // What is reported last is the tail's compression: all of it but its newest 32 tokens, at a budget of 20 %.
        Assert.Equal(13, longest!.Compression!.Layers[0].Kept);
        Assert.Equal(52, longest.Compression.Layers[0].Merged, 0.5);
    }

    [Theory]
    [InlineData("method")]
    [InlineData("budget")]
    [InlineData("rounds")]
    [InlineData("theta")]
    [InlineData("strategy")]
    public void From_Wrong_NamesTheOption(string key)
    {
        MergingOptions wrong = key switch
        {
            "method" => new() { Method = "magic" },
            "budget" => new() { Method = "flowmm", BudgetRatio = 1.5 },
            "rounds" => new() { Method = "flowmm", Rounds = 99 },
            "theta" => new() { Method = "flowmm", Theta = 2 },
            _ => new() { Method = "flowmm", Strategy = "sideways" },
        };
        RefusedException refused = Assert.Throws<RefusedException>(() => MergingPlan.From(wrong));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains(key == "strategy" ? "sideways" : key, refused.Message, StringComparison.Ordinal);
    }

    private static InferenceEngine Start(EngineOptions? options = null) =>
        new(TinyModel.Model, options ?? new EngineOptions(), NullLogger<InferenceEngine>.Instance);

    /// <summary>A conversation about sixteen pictures.</summary>
    private sealed class EngineAlbum(InferenceEngine engine, MergingOptions merging)
    {
        private readonly List<ChatMessage> _messages = [];
        private readonly List<TokenRun> _history = [];

        public async Task<EndEvent> Ask(string question)
        {
            TurnInput input = Next(question);
            EndEvent end = await Run(engine, input);
            _messages.Add(Message(question));
            _messages.Add(new ChatMessage("assistant", [ChatPart.OfText(TinyModel.Model.Tokenizer.Decode(end.Ids))]));
            _history.AddRange([input.Prompt, new TokenRun { Ids = end.Ids }]);
            return end;
        }

        public TurnInput Next(string question, (double Temperature, ulong Seed, int MaxTokens, string Session)? random = null)
        {
            PromptBuilder prompts = new(TinyModel.Model);
            PromptTokens tokens = _messages.Count == 0 ? prompts.Build([Message(question)]) : prompts.Continue(_messages, Message(question)).Tokens;
            return new TurnInput
            {
                Session = random?.Session ?? "album",
                History = [.. _history],
                Prompt = new TokenRun
                {
                    Ids = tokens.Ids,
                    Images = [.. tokens.Images.Select((s, i) => new ImageTokens(s.Start, s.Length, ImmutableBytes.Of(TinyModel.Picture(Pictures[i])).Hash))],
                    Merging = MergingPlan.From(merging),
                },
                Sampling = SamplingPlan.From(new() { Temperature = random?.Temperature, Seed = random?.Seed, MaxTokens = random?.MaxTokens }),
                LoadImage = (hash, _) => Task.FromResult<ReadOnlyMemory<byte>>(
                    Pictures.Select(TinyModel.Picture).First(p => ImmutableBytes.Of(p).Hash == hash)),
            };
        }

        public static async Task<EndEvent> Run(InferenceEngine engine, TurnInput input)
        {
            await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
            {
                if (happened is EndEvent end)
                {
                    return end;
                }
            }

            throw new InvalidOperationException("The engine ended a turn without saying so.");
        }

        private ChatMessage Message(string question) => _messages.Count == 0
            ? new ChatMessage("user", [.. Pictures.Select(_ => ChatPart.OfImage(32, 32)), ChatPart.OfText(question)])
            : new ChatMessage("user", [ChatPart.OfText(question)]);
    }
}
