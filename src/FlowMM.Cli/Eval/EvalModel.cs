using FlowMM.Engine.Offline;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>The model under evaluation: conversations to tokens, pictures to rows (each encoded once), answers to text.</summary>
/// <param name="model">The model; not disposed.</param>
/// <param name="pictures">Where the pictures are.</param>
public sealed class EvalModel(ChatModel model, IPictures pictures) : IDisposable
{
    private const string Placeholder = "<image>";

    private static readonly ImageLimits Limits = new(MaxBytes: 1L << 28, MaxPixels: 1L << 28);

    private readonly PromptBuilder _prompts = new(model);
    private readonly Dictionary<string, Tensor> _rows = [];

    /// <summary>Computes prefill and decoding.</summary>
    public OfflineRunner Runner { get; } = new(model);

    /// <summary>An empty conversation; the caller disposes it.</summary>
    public OfflineSession Start() => OfflineSession.Start(model);

    /// <summary>The ids of the prompt that holds the context and a first question.</summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="turn">Index of the question.</param>
    /// <exception cref="CommandException">The prompt and its answer exceed the model's context.</exception>
    public int[] FirstPrompt(EvalConversation conversation, int turn)
    {
        int[] ids = _prompts.Build([First(conversation, turn)]).Ids;
        return ids.Length + EvalProtocol.MostTokens <= model.ContextLength
            ? ids
            : throw new CommandException($"conversation {conversation.Id} takes {ids.Length} tokens and its answer up to {EvalProtocol.MostTokens}; {model.Name} reads {model.ContextLength}");
    }

    /// <summary>
    /// What the next question adds to a conversation whose answers are in the cache, end token included. An answer that was cut off has
    /// no end token in the history either: that is how the references were made.
    /// </summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="answers">The answers so far, at least one.</param>
    /// <exception cref="CommandException">The template rewrites history, which this protocol cannot follow.</exception>
    public int[] NextPrompt(EvalConversation conversation, IReadOnlyList<string> answers)
    {
        List<ChatMessage> history = [First(conversation, 0)];
        for (int i = 0; i < answers.Count; i++)
        {
            history.Add(new ChatMessage("assistant", [ChatPart.OfText(answers[i])]));
            history.Add(Message(conversation.Turns[i + 1].Question));
        }

        NextPrompt next = _prompts.Continue([.. history.SkipLast(1)], history[^1]);
        if (next.Reset)
        {
            throw new CommandException($"{model.Name}'s chat template rewrites earlier turns: its questions can only be asked alone");
        }

        int[] ids = next.Tokens.Ids;
        return model.EndIds.Contains(ids[0]) ? ids[1..] : ids;
    }

    /// <summary>What a report says it was made with: program, model and type.</summary>
    public string MadeWith => $"flowmm eval, {model.Name} {model.Digest[..12]}, {model.Dtype.ToString().ToLowerInvariant()}";

    /// <summary>The token whose rows pictures take; null for a text model.</summary>
    public int? ImageTokenId => model.ImageTokenId;

    /// <summary>Sizes of the model's cache.</summary>
    public KvCache.CacheShape Shape => model.CacheShape;

    /// <summary>A picture's file bytes.</summary>
    /// <param name="name">As conversations name it.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    public byte[] Picture(string name) => pictures.Picture(name);

    /// <summary>A prompt of a conversation, with the rows of its pictures.</summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="ids">Tokens that hold all of its pictures.</param>
    public SegmentInput Input(EvalConversation conversation, int[] ids) => new(ids, () => ImageRows(conversation));

    /// <summary>The ids of the opening of a first user message, up to where its question begins.</summary>
    /// <param name="conversation">The conversation.</param>
    public int[] ContextPrompt(EvalConversation conversation) => _prompts.Tokenize(Halves(conversation, "").Before, first: true).Ids;

    /// <summary>The ids that follow <see cref="ContextPrompt"/>: the question, and what the template puts behind it.</summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="question">The question.</param>
    public int[] QuestionPrompt(EvalConversation conversation, string question) => _prompts.Tokenize(question + Halves(conversation, question).After, first: false).Ids;

    /// <summary>Rows of the conversation's pictures, [k, C]; the caller's scope disposes the result.</summary>
    /// <param name="conversation">The conversation.</param>
    /// <returns>Null when it has none.</returns>
    public Tensor? ImageRows(EvalConversation conversation) =>
        conversation.Images.Count == 0 ? null : cat([.. conversation.Images.Select(EncodePicture)]); // [k, C]

    /// <summary>The text of an answer; special tokens are left out.</summary>
    /// <param name="ids">Its ids.</param>
    public string Text(IReadOnlyList<int> ids) => model.Tokenizer.Decode(ids);

    /// <summary>Ids of text within a message.</summary>
    /// <param name="text">The text.</param>
    public IReadOnlyList<int> Encode(string text) => model.Tokenizer.Encode(text, parseSpecial: false);

    /// <summary>Visual tokens of a picture.</summary>
    /// <param name="name">The picture.</param>
    public int PictureTokens(string name) => model.TokensPerImage > 0 ? model.TokensPerImage : Images.Layout(Part(name).Width, Part(name).Height).Tokens;

    /// <summary>A first user message that leaves room for its answer. It is written anew, shorter, while what the template adds does not fit.</summary>
    /// <param name="write">Makes text with a place for each picture, and the pictures, that take no more tokens than it is told.</param>
    /// <param name="place">How the text marks a picture's place.</param>
    /// <param name="most">Most tokens of the answer.</param>
    /// <exception cref="CommandException">There is no room for it.</exception>
    public SegmentInput Fit(Func<int, (string Text, IReadOnlyList<string> Pictures)> write, string place, int most)
    {
        int bound = model.ContextLength - most;
        for (int room = bound; room > 0;)
        {
            (string text, IReadOnlyList<string> shown) = write(room);
            PromptTokens prompt = _prompts.Build([new ChatMessage("user", [.. Parts(text.Split(place), shown)])]);
            if (prompt.Ids.Length <= bound)
            {
                return new SegmentInput(prompt.Ids, () => shown.Count == 0 ? null : cat([.. shown.Select(EncodePicture)])) { Pictures = prompt.Images };
            }

            room -= prompt.Ids.Length - bound;
        }

        throw new CommandException($"{model.Name} reads {model.ContextLength} tokens: no question fits beside an answer of {most}");
    }

    /// <summary>Frees the rows of the pictures seen so far.</summary>
    public void ForgetPictures()
    {
        foreach (Tensor rows in _rows.Values)
        {
            rows.Dispose();
        }

        _rows.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => ForgetPictures();

    private ImagePreprocessor Images => model.Images ?? throw new CommandException($"{model.Name} reads text only; this set has pictures");

    private IEnumerable<ChatPart> Parts(string[] stretches, IReadOnlyList<string> shown)
    {
        for (int i = 0; i < stretches.Length; i++)
        {
            if (i > 0)
            {
                yield return Part(shown[i - 1]);
            }

            if (stretches[i].Length > 0)
            {
                yield return ChatPart.OfText(stretches[i]);
            }
        }
    }

    private ChatPart Part(string picture)
    {
        ImageHeader header = Images.Inspect(pictures.Picture(picture), Limits);
        return ChatPart.OfImage(header.Width, header.Height);
    }

    /// <summary>What the template writes before and after the question.</summary>
    private (string Before, string After) Halves(EvalConversation conversation, string question)
    {
        const string Mark = "\u0001question\u0001";
        string context = conversation.Context.Replace(Placeholder, ImageToken(), StringComparison.Ordinal);
        string[] halves = model.Template.Render([Message($"{context}\n{Mark}")], true).Split(Mark);
        return halves.Length == 2
            ? (halves[0], halves[1])
            : throw new CommandException($"the chat template of {model.Name} changes a message, so a question ('{question}') cannot be asked after its context");
    }

    private static ChatMessage Message(string text) => new("user", [ChatPart.OfText(text)]);

    // The context has its own labels and places for pictures; the template's would come on top.
    private ChatMessage First(EvalConversation conversation, int turn) =>
        Message($"{conversation.Context.Replace(Placeholder, ImageToken(), StringComparison.Ordinal)}\n{conversation.Turns[turn].Question}");

    private string ImageToken() => model.ImageTokenId is int id ? model.Tokenizer.Spelling(id) : Placeholder;

    private Tensor EncodePicture(string picture)
    {
        if (!_rows.TryGetValue(picture, out Tensor? rows))
        {
            rows = model.EncodeImage(Images.Preprocess(pictures.Picture(picture))).DetachFromDisposeScope(); // [tokens, C]
            _rows.Add(picture, rows);
        }

        return rows;
    }
}
