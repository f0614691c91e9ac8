namespace FlowMM.Model;

/// <summary>A message as the chat template sees it.</summary>
/// <param name="Role">system, user or assistant.</param>
/// <param name="Parts">Text and pictures in order.</param>
public sealed record ChatMessage(string Role, IReadOnlyList<ChatPart> Parts);

/// <summary>A piece of a message: text, or the size of a picture.</summary>
public sealed record ChatPart
{
    private ChatPart()
    {
    }

    /// <summary>Text, or null for a picture.</summary>
    public string? Text { get; private init; }

    /// <summary>The picture's width in pixels; 0 for text.</summary>
    public int Width { get; private init; }

    /// <summary>The picture's height in pixels; 0 for text.</summary>
    public int Height { get; private init; }

    /// <summary>A piece of text.</summary>
    /// <param name="text">The text.</param>
    public static ChatPart OfText(string text) => new() { Text = text };

    /// <summary>A picture; how many tokens it takes may depend on its size.</summary>
    /// <param name="width">Pixels.</param>
    /// <param name="height">Pixels.</param>
    public static ChatPart OfImage(int width, int height) => new() { Width = width, Height = height };
}
