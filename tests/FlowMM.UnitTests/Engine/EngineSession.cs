using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>A conversation straight on an engine, keeping the history as a session grain does.</summary>
internal sealed class EngineSession(InferenceEngine engine, string key, MergingOptions? merging = null)
{
    private readonly Dictionary<string, byte[]> _images = [];
    private readonly List<ChatMessage> _messages = [];

    public List<TokenRun> History { get; } = [];

    /// <summary>Hashes of pictures whose bytes the engine asked for.</summary>
    public List<string> Asked { get; } = [];

    public async Task<(string Text, EndEvent End)> Ask(string question, byte[]? picture = null, SamplingOptions? sampling = null)
    {
        TurnInput input = Input(question, picture, sampling);
        (string text, EndEvent end) = await Run(input);
        History.Add(input.Prompt);
        History.Add(new TokenRun { Ids = end.Ids });
        _messages.Add(new ChatMessage("assistant", [ChatPart.OfText(text)]));
        return (text, end);
    }

    public TurnInput Input(string question, byte[]? picture = null, SamplingOptions? sampling = null)
    {
        PromptBuilder prompts = new(TinyModel.Model);
        ChatPart[] parts = picture is null ? [ChatPart.OfText(question)] : [ChatPart.OfImage(32, 32), ChatPart.OfText(question)];
        ChatMessage message = new("user", parts);
        PromptTokens tokens = _messages.Count == 0 ? prompts.Build([message]) : prompts.Continue(_messages, message).Tokens;
        _messages.Add(message);
        string hash = picture is null ? "" : ImmutableBytes.Of(picture).Hash;
        _images[hash] = picture ?? [];
        return new TurnInput
        {
            Session = key,
            History = [.. History],
            Prompt = new TokenRun
            {
                Ids = tokens.Ids,
                Images = [.. tokens.Images.Select(i => new ImageTokens(i.Start, i.Length, hash, i.Grid))],
                Merging = MergingPlan.From(merging ?? new()),
            },
            Sampling = SamplingPlan.From(sampling ?? new()),
            LoadImage = (wanted, _) =>
            {
                Asked.Add(wanted);
                return Task.FromResult<ReadOnlyMemory<byte>>(_images[wanted]);
            },
        };
    }

    public async Task<(string Text, EndEvent End)> Run(TurnInput input)
    {
        string text = "";
        await foreach (EngineEvent happened in engine.Generate(input, TestContext.Current.CancellationToken))
        {
            text += happened switch { TokenEvent token => token.Text, EndEvent end => end.Text, _ => "" };
            if (happened is EndEvent ended)
            {
                return (text, ended);
            }
        }

        throw new InvalidOperationException("The engine ended a turn without saying so.");
    }
}
