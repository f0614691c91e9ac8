using FlowMM.Model.Prompts;
using FlowMM.Model.Templates;

namespace FlowMM.Model;

/// <summary>Messages to the ids that the model reads.</summary>
/// <param name="model">The model whose template and tokenizer are used.</param>
public sealed class PromptBuilder(ChatModel model)
{
    private readonly ImageMarkup _markup = ImageMarkup.Of(model.Architecture);

    /// <summary>The prompt of a whole conversation, ready for the model's answer.</summary>
    /// <param name="messages">All messages; the last is the user's.</param>
    /// <exception cref="ImageRejectedException">The model does not take a picture of that size.</exception>
    /// <exception cref="TemplateException">The template refuses the messages, or leaves out a picture.</exception>
    public PromptTokens Build(IReadOnlyList<ChatMessage> messages) => Tokenize(model.Template.Render(messages, true), first: true, Layouts(messages));

    /// <summary>
    /// What <paramref name="next"/> adds after <paramref name="history"/>, whose last message is the model's answer. When the rendering of
    /// everything begins with what the cache was fed (the rendering up to that answer, and the answer), only the rest is new. A blank between
    /// the two is the answer's own: tokenizers that mark a text's beginning do not show it.
    /// </summary>
    /// <param name="history">Messages so far, answers included.</param>
    /// <param name="next">The user's message.</param>
    /// <exception cref="ImageRejectedException">The model does not take a picture of that size.</exception>
    /// <exception cref="TemplateException">The template refuses the messages, or leaves out a picture.</exception>
    public NextPrompt Continue(IReadOnlyList<ChatMessage> history, ChatMessage next)
    {
        string answer = string.Concat(history[^1].Parts.Select(p => p.Text));
        string before = model.Template.Render([.. history.Take(history.Count - 1)], true);
        string all = model.Template.Render([.. history, next], true);
        string blank = model.Tokenizer.Decoder.Strip > 0 && all.StartsWith(before + " ", StringComparison.Ordinal) && !answer.StartsWith(' ') ? " " : "";
        string fed = before + blank + answer;
        return all.StartsWith(fed, StringComparison.Ordinal)
            ? new NextPrompt(Tokenize(all[fed.Length..], first: false, Layouts([next])), false)
            : new NextPrompt(Tokenize(all, first: true, Layouts([.. history, next])), true);
    }

    /// <summary>True when a user's text spells a special token or a picture's place, which it must not.</summary>
    /// <param name="text">The text.</param>
    public bool HoldsMarkup(string text) => model.Tokenizer.ContainsSpecial(text)
        || (model.Images is not null && _markup.Placeholder is string place && text.Contains(place, StringComparison.Ordinal))
        || (model.ImageTokenId is int id && model.Tokenizer.Spelling(id) is { Length: > 0 } token && text.Contains(token, StringComparison.Ordinal));

    /// <summary>Ids of rendered text, with every picture's place as many tokens long as the model reads for it.</summary>
    /// <param name="text">Rendered text.</param>
    /// <param name="first">True when the text begins the conversation, where the tokenizer's own prefix may belong.</param>
    /// <param name="images">The pictures in the order of their places; none of them where every picture takes the same tokens.</param>
    /// <exception cref="TemplateException">There are more places than pictures, or fewer.</exception>
    public PromptTokens Tokenize(string text, bool first, IReadOnlyList<ImageLayout>? images = null)
    {
        bool written = model.Tokenizer.Prefix.Count > 0 && text.StartsWith(model.Tokenizer.Spelling(model.Tokenizer.Prefix[0]), StringComparison.Ordinal);
        Writing writing = new(model, _markup, images ?? []);
        writing.Ids.AddRange(first && !written ? model.Tokenizer.Prefix : []);
        string[] pieces = model.Images is not null && _markup.Placeholder is string place ? text.Split(place) : [text];
        foreach ((int i, string piece) in pieces.Index())
        {
            if (i > 0)
            {
                writing.AddImage();
            }

            writing.AddText(piece, continued: i == 0 && !first);
        }

        return writing.End();
    }

    private ImageLayout[] Layouts(IReadOnlyList<ChatMessage> messages) =>
        [.. messages.SelectMany(m => m.Parts).Where(p => p.Text is null).Select(p => Layout(p.Width, p.Height))];

    private ImageLayout Layout(int width, int height) => model.Images is ImagePreprocessor images
        ? images.Layout(width, height)
        : throw new ImageRejectedException($"The model {model.Name} reads text only.");

    /// <summary>A prompt in the making.</summary>
    private sealed class Writing(ChatModel model, ImageMarkup markup, IReadOnlyList<ImageLayout> images)
    {
        private readonly List<ImageSpan> _spans = [];

        public List<int> Ids { get; } = [];

        public void AddText(string text, bool continued)
        {
            foreach (int id in model.Tokenizer.Encode(text, parseSpecial: true, continued))
            {
                if (id == model.ImageTokenId)
                {
                    AddImage();
                }
                else
                {
                    Ids.Add(id);
                }
            }
        }

        public void AddImage()
        {
            ImageLayout? layout = _spans.Count < images.Count ? images[_spans.Count] : null;
            int tokens = layout?.Tokens ?? model.TokensPerImage;
            if (tokens == 0)
            {
                throw new TemplateException($"The prompt has a place for picture {_spans.Count + 1}, and there are {images.Count} pictures.");
            }

            Ids.AddRange(model.Tokenizer.Encode(markup.Before, parseSpecial: true));
            _spans.Add(new ImageSpan(Ids.Count, tokens, layout?.Grid));
            Ids.AddRange(Enumerable.Repeat(model.ImageTokenId ?? 0, tokens));
            Ids.AddRange(model.Tokenizer.Encode(markup.After, parseSpecial: true));
        }

        public PromptTokens End() => _spans.Count < images.Count
            ? throw new TemplateException($"The chat template wrote {_spans.Count} of {images.Count} pictures.")
            : new PromptTokens { Ids = [.. Ids], Images = _spans };
    }
}
