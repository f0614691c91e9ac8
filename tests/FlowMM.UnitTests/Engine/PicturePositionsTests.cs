using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Engine;

/// <summary>A model whose positions follow the rows and columns of pictures, through the engine: small chunks cut its pictures.</summary>
public sealed class PicturePositionsTests : IDisposable
{
    private const int Tokens = 8;

    private static readonly string Golden = Path.Combine(Repository.Root, "tests", "FlowMM.ParityTests", "goldens", "qwen2_5_vl");

    private readonly ChatModel _model = ChatModel.Load(Path.Combine(Golden, "model"), CPU, float32);

    [Fact]
    public async Task Generate_TwoTurnsWithPictures_AnswersAsOnePassOverAll()
    {
        using InferenceEngine engine = new(_model, new EngineOptions { PrefillChunk = 16 }, NullLogger<InferenceEngine>.Instance);
        PromptBuilder prompts = new(_model);
        ChatMessage first = Message("a.png", "What?"), second = Message("b.png", "And this?");
        TokenRun prompt = Run(prompts.Build([first]), "a.png");
        EndEvent one = await Ask(engine, [], prompt);
        Assert.Equal(Greedy([prompt]), one.Ids.Take(Tokens));

        NextPrompt next = prompts.Continue([first, new ChatMessage("assistant", [ChatPart.OfText(_model.Tokenizer.Decode(one.Ids))])], second);
        Assert.False(next.Reset);
        TokenRun[] history = [prompt, new TokenRun { Ids = one.Ids }];
        TokenRun added = Run(next.Tokens, "b.png");
        EndEvent two = await Ask(engine, history, added);
        Assert.Equal(CacheSource.Resident, two.Provenance.Source);
        Assert.Equal(Greedy([.. history, added]), two.Ids.Take(Tokens));
    }

    public void Dispose() => _model.Dispose();

    private static byte[] Picture(string name) => File.ReadAllBytes(Path.Combine(Golden, "images", name));

    private static string Hash(string name) => ImmutableBytes.Of(Picture(name)).Hash;

    private static TokenRun Run(PromptTokens tokens, string picture) => new()
    {
        Ids = tokens.Ids,
        Images = [.. tokens.Images.Select(i => new ImageTokens(i.Start, i.Length, Hash(picture), i.Grid))],
    };

    private static async Task<EndEvent> Ask(InferenceEngine engine, IReadOnlyList<TokenRun> history, TokenRun prompt)
    {
        (_, EndEvent end) = await new EngineSession(engine, "a").Run(new TurnInput
        {
            Session = "a",
            History = history,
            Prompt = prompt,
            Sampling = SamplingPlan.From(new() { MaxTokens = Tokens }),
            LoadImage = (hash, _) => Task.FromResult<ReadOnlyMemory<byte>>(Picture(hash == Hash("a.png") ? "a.png" : "b.png")),
        });
        return end;
    }

    private ChatMessage Message(string picture, string text)
    {
        ImageHeader header = _model.Images!.Inspect(Picture(picture), new ImageLimits(1 << 20, 1 << 20));
        return new ChatMessage("user", [ChatPart.OfImage(header.Width, header.Height), ChatPart.OfText(text)]);
    }

    /// <summary>The most probable tokens after all runs in one pass; as many as the engine gives before an end token.</summary>
    private List<int> Greedy(IReadOnlyList<TokenRun> runs)
    {
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = _model.NewCache();
        List<ImageSpan> spans = [];
        List<Tensor> rows = [];
        int start = 0;
        foreach (TokenRun run in runs)
        {
            spans.AddRange(run.Images.Select(i => new ImageSpan(start + i.Start, i.Length, i.Grid)));
            rows.AddRange(run.Images.Select(i => _model.EncodeImage(_model.Images!.Preprocess(Picture(i.Hash == Hash("a.png") ? "a.png" : "b.png")))));
            start += run.Ids.Count;
        }

        Tensor logits = _model.Forward([new() { Cache = cache, TokenIds = runs.SelectMany(r => r.Ids).ToArray(), ImageRows = cat(rows), Pictures = spans }]);
        List<int> ids = [];
        while (ids.Count < Tokens && (ids.Count == 0 || !_model.EndIds.Contains(ids[^1])))
        {
            ids.Add((int)logits.argmax(-1).item<long>());
            logits = _model.Forward([new() { Cache = cache, TokenIds = new[] { ids[^1] } }]);
        }

        return [.. ids.Where(id => !_model.EndIds.Contains(id))];
    }
}
