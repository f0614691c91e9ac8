namespace FlowMM.Model;

/// <summary>A picture is not taken; the text tells the caller why.</summary>
/// <param name="message">What is wrong, with the numbers.</param>
public sealed class ImageRejectedException(string message) : Exception(message);
